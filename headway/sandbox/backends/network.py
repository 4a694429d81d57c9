"""A way out for commands that may have one, and no way to this machine itself."""

import ipaddress
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

HELPER = "slirp4netns"
"""The program that serves a network namespace from outside.

pasta is not used. A socket that is bound to a device reaches the machine's own networks and the metadata service
through it, because pasta answers ARP for any address and lets the host connect (tried with passt of Debian 12).
"""

RESOLVER = "10.0.2.3"
"""Address for a command's questions for names; the helper asks this machine's resolver for it."""

_METADATA = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
"""Addresses at which clouds hand out the machine's own credentials."""

_HOST = ("127.0.0.0/8", "10.0.2.2/32")
"""This machine, as slirp4netns reaches it. A command's own loopback is in the table of local routes, which goes first;
a packet that a command sends to 127.x through the network's device would arrive at the host's services."""

_ROUTES = Path("/proc/net/route")


def helper() -> str | None:
    """Its path; None when it is not installed."""
    return shutil.which(HELPER)


def refused() -> list[str]:
    """Addresses that no command reaches: all of this machine, networks that are only in it, metadata services."""
    closed = [*_METADATA, *_HOST]
    outward = _outward()
    for name, addresses in psutil.net_if_addrs().items():
        for each in addresses:
            if each.family != socket.AF_INET or each.address.startswith("127."):
                continue
            closed.append(f"{each.address}/32")
            if name not in outward and each.netmask:
                closed.append(str(ipaddress.ip_network(f"{each.address}/{each.netmask}", strict=False)))
    return list(dict.fromkeys(closed))


def own_addresses() -> list[str]:
    """The addresses of this machine."""
    every = (each for found in psutil.net_if_addrs().values() for each in found)
    return [each.address for each in every if each.family == socket.AF_INET]


def resolver_file() -> tuple[str, str] | None:
    """The path and content of a command's resolver file; None where this machine has no such file."""
    place = Path("/etc/resolv.conf")
    if not place.exists():
        return None
    return str(place.resolve()), f"nameserver {RESOLVER}\n"


def _outward(lines: Iterable[str] | None = None) -> set[str]:
    """The interfaces that lead out of this machine."""
    if lines is None:
        lines = _ROUTES.read_text(encoding="ascii").splitlines() if _ROUTES.is_file() else ()
    columns = [line.split() for line in lines]
    return {column[0] for column in columns if column[1:2] == ["00000000"]}
