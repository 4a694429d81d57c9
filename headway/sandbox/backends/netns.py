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
import select
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_PDEATHSIG = 1
_WITHIN_S = 10.0
_WORDS = 4096
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
    this = os.getpid()
    child = os.fork()
    if child == 0:
        ours.close()
        _become(order, theirs, this)
    theirs.close()
    helper: subprocess.Popen[bytes] | None = None
    try:
        if ours.recv(1):
            ready, words = os.pipe(), os.pipe()
            helper = _serve(order["helper"], child, ready[1], words[1])
            if why := _not_ready(ready[0], words[0]):
                os.write(2, f"{why}\n".encode())
                ours.close()  # the child ends without its command
            else:
                ours.send(b"g")
        _, status = os.waitpid(child, 0)
    finally:
        if helper is not None:
            helper.kill()
            helper.wait()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _serve(helper: str, child: int, ready: int, words: int) -> "subprocess.Popen[bytes]":
    """Connect the child's namespace with the outside, from here. The helper keeps both descriptors, this process none.

    Args:
        helper: The program.
        child: A process in the namespace.
        ready: The helper writes here when the namespace is connected.
        words: The helper's errors. Never blocks: later errors are not read.
    """
    argv = [helper, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"]
    argv += [] if os.geteuid() == 0 else [f"--userns-path=/proc/{child}/ns/user"]
    argv += [f"--ready-fd={ready}", str(child), "tap0"]
    ours = os.getpid()
    os.set_blocking(words, False)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            pass_fds=(ready,),
            preexec_fn=lambda: _die_with(ours),  # noqa: PLW1509  # there are no threads here
        )
    finally:
        os.close(ready)
        os.close(words)


def _not_ready(ready: int, words: int) -> str:
    """Wait until the helper has connected the namespace. Returns why it has not; empty when it has."""
    if not select.select([ready], [], [], _WITHIN_S)[0]:
        return f"no network within {_WITHIN_S:.0f} s"
    if os.read(ready, 1):
        return ""
    os.set_blocking(words, False)
    said = b""
    with suppress(BlockingIOError):
        said = os.read(words, _WORDS)
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if not line.startswith("WARNING")]
    return "; ".join(lines) or "the program that serves a network ended without a word"


def _become(order: "dict[str, list[str]]", theirs: socket.socket, parent: int) -> None:
    try:
        user, group = os.geteuid(), os.getegid()
        _unshare(_NEWNET if user == 0 else _NEWUSER | _NEWNET)
        if user != 0:  # as root there, which the helper becomes to isolate itself
            _map(f"0 {user} 1", f"0 {group} 1")
        _die_with(parent)
        theirs.send(b"r")
        if not theirs.recv(1):
            os._exit(125)
        _bring_up("lo")
        for network in order["refused"]:
            _prohibit(network)
        theirs.close()
        if user != 0:  # the user again, and without rights over the network
            _unshare(_NEWUSER)
            _map(f"{user} 0 1", f"{group} 0 1")
            _die_with(parent)
        os.execvp(order["argv"][0], order["argv"])  # noqa: S606  # the shell is among them
    except BaseException as error:  # noqa: BLE001  # the child of a fork must not go on as its parent
        os.write(2, f"{error}\n".encode())
    os._exit(125)


def _map(users: str, groups: str) -> None:
    _write("setgroups", "deny")
    _write("uid_map", users)
    _write("gid_map", groups)


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
