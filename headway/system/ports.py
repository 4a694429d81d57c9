"""TCP ports: their holders, and free ones."""

import contextlib
import socket

import psutil


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
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(_family(ip), socket.SOCK_STREAM)) for _ in range(count)]
        for probe in probes:
            probe.bind((ip, 0))
        return [probe.getsockname()[1] for probe in probes]


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
