"""TCP ports: their holders, and free ones."""

import contextlib
import itertools
import random
import socket

import psutil

_BELOW_OUTGOING = range(10_000, 32_000)


def is_free(ip: str, port: int) -> bool:
    """True if a server could listen there now."""
    with socket.socket(_family(ip), socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that just ended do not hold its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """The program that listens on `port`, in words, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"


def free_ports(count: int, ip: str = "127.0.0.1") -> list[int]:
    """Ports that were free a moment ago, all different.

    They lie below those that systems give to outgoing connections, so that no connection takes one before its server.
    """
    in_any_order = random.sample(_BELOW_OUTGOING, len(_BELOW_OUTGOING))
    return list(itertools.islice((port for port in in_any_order if is_free(ip, port)), count))


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
