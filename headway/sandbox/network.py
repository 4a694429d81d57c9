"""A way out for commands that may have one, and no way to this machine itself."""

import ipaddress
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

HELPERS = ("slirp4netns", "pasta")
"""Programs that serve a network namespace from outside; the first one that works is taken."""

RESOLVER = "10.0.2.3"
"""Where a command's questions for names go; the helper asks this machine's resolver for it."""

_METADATA = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
"""Where clouds hand out the machine's own credentials."""

_ROUTES = Path("/proc/net/route")


def helpers() -> list[str]:
    """Those that are installed."""
    return [found for name in HELPERS if (found := shutil.which(name)) is not None]


def refused() -> list[str]:
    """What a command never reaches: this machine under all its addresses, networks that are only in it, metadata."""
    closed = [*_METADATA, "10.0.2.2/32"]
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
    """Where a command looks for its resolver, and what stands there; None where this machine has no such file."""
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
