"""Gives a command a network of its own that reaches out; runs alone, as `python -I -S reaching.py`.

It makes a network namespace, has slirp4netns serve it from outside, closes the ways to this machine itself,
and becomes the command there. The command lacks the rights over that namespace to open them again.
"""

# pathlib takes longer to import than all the rest.
# ruff: noqa: PTH123

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_PDEATHSIG = 1
_WITHIN_S = 10.0
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1

_NEW_ROUTE, _ERROR = 24, 2
_FLAGS = 0x1 | 0x4 | 0x100 | 0x400
"""A request, to be acknowledged, that replaces or creates."""

_MAIN, _STATIC, _PROHIBIT, _DESTINATION = 254, 4, 8, 1

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Take the order from the descriptor that is named first, and run the command; its exit code."""
    parent, source = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    with os.fdopen(source, "rb") as file:
        order = json.load(file)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _become(order, theirs)
    theirs.close()
    helper: subprocess.Popen[bytes] | None = None
    try:
        if ours.recv(1):
            helper = _serve(order["helper"], child)
            ours.send(b"g")
        _, status = os.waitpid(child, 0)
    finally:
        if helper is not None:
            helper.kill()
            helper.wait()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _serve(helper: str, child: int) -> "subprocess.Popen[bytes]":
    """Connect the child's namespace with the outside, from here."""
    argv = [helper, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"]
    argv += [] if os.geteuid() == 0 else [f"--userns-path=/proc/{child}/ns/user"]
    argv += [str(child), "tap0"]
    ours = os.getpid()
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: _die_with(ours),  # noqa: PLW1509  # there are no threads here
    )


def _become(order: "dict[str, list[str]]", theirs: socket.socket) -> None:
    try:
        user, group = os.geteuid(), os.getegid()
        _unshare(_NEWNET if user == 0 else _NEWUSER | _NEWNET)
        if user != 0:
            _write("setgroups", "deny")
            _write("uid_map", f"{user} {user} 1")
            _write("gid_map", f"{group} {group} 1")
        _die_with(os.getppid())
        theirs.send(b"r")
        if not theirs.recv(1):
            os._exit(125)
        _bring_up("lo")
        _until_connected()
        for network in order["refused"]:
            _prohibit(network)
        theirs.close()
        os.execvp(order["argv"][0], order["argv"])  # noqa: S606  # the shell is among them
    except BaseException as error:  # noqa: BLE001  # the child of a fork must not go on as its parent
        os.write(2, f"{error}\n".encode())
    os._exit(125)


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
        file.write(text)


def _die_with(parent: int) -> None:
    _libc.prctl(_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(125)


def _unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)) != 0:
        raise OSError(ctypes.get_errno(), f"a network namespace: {os.strerror(ctypes.get_errno())}")


def _bring_up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", name.encode(), 0)
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", name.encode(), flags | _UP))


def _until_connected() -> None:
    """Wait for the way out: the helper makes it when it is ready, and tells nobody who is inside."""
    until = time.monotonic() + _WITHIN_S
    while time.monotonic() < until:
        with open("/proc/net/route", encoding="ascii") as file:
            if any(line.split()[1:2] == ["00000000"] for line in file):
                return
        time.sleep(0.005)
    raise OSError(f"no network within {_WITHIN_S:.0f} s")


def _prohibit(network: str) -> None:
    """No way to an address or network, as `10.0.0.0/8`."""
    address, _, length = network.partition("/")
    route = struct.pack("=BBBBBBBBI", socket.AF_INET, int(length), 0, 0, _MAIN, _STATIC, 0, _PROHIBIT, 0)
    route += struct.pack("=HH4s", 8, _DESTINATION, socket.inet_aton(address))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.sendall(struct.pack("=IHHII", 16 + len(route), _NEW_ROUTE, _FLAGS, 1, 0) + route)
        answer = kernel.recv(4096)
    (kind,) = struct.unpack_from("=H", answer, 4)
    (error,) = struct.unpack_from("=i", answer, 16)
    if kind == _ERROR and error != 0:
        raise OSError(-error, f"the way to {network} cannot be closed: {os.strerror(-error)}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        os._exit(main())
