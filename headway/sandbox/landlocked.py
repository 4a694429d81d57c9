"""Walls a process in with Landlock and seccomp, then becomes a command; runs alone, as `python -I -S landlocked.py`.

A process of its own, because what is set up here cannot be undone, and because code between fork and exec could hang
in a process with threads. It stays as the parent of the command, takes in what that orphans, and ends it all when the
command is over. It imports little, and nothing of ours: its start is part of the time of every command.
"""

# pathlib takes longer to import than all the rest.
# ruff: noqa: PTH112, PTH123, PTH208

import ctypes
import json
import os
import signal
import struct
import sys
from contextlib import suppress

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same on every processor."""

_PATH_BENEATH = 1
_WITH_VERSION = 1
_PDEATHSIG, _CHILD_SUBREAPER, _NO_NEW_PRIVS, _SECCOMP, _CAPBSET_DROP = 1, 36, 38, 22, 24
_FILTER = 2
_STEP_BYTES = 8
_CAPABILITIES = 64
_CAPABILITY_VERSION = 0x20080522

_FILE = 0x7 | 1 << 14 | 1 << 15
"""Execute, write, read, truncate, ioctl: what may be allowed for a file; the rest is of folders."""

READ = 0xD
"""Execute, read, list."""

WRITE = 0xDFBF
"""All of it, but making devices."""

_HANDLED = ((1, 0x1FFF), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP = 0x3
_SCOPES = 0x3
_SIGNALS_FROM, _TCP_FROM = 6, 4

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_WITH_VERSION))))


def confine(rules: "list[tuple[str, int]]") -> None:
    """From here on this process, and all that it starts, may only do what the rules allow. Cannot be undone."""
    have = version()
    handled = 0
    for since, rights in _HANDLED:
        handled |= rights if have >= since else 0
    sizes = struct.pack("=Q", handled)
    if have >= _TCP_FROM:
        sizes += struct.pack("=Q", _TCP)
    if have >= _SIGNALS_FROM:
        sizes += struct.pack("=Q", _SCOPES)
    ruleset = _call(_CREATE_RULESET, sizes, ctypes.c_size_t(len(sizes)), ctypes.c_uint(0))
    for path, rights in rules:
        with suppress(FileNotFoundError, PermissionError):  # what is gone, or not ours to see, needs no rule
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            is_folder = os.path.isdir(f"/proc/self/fd/{place}")
            allowed = rights & handled & (-1 if is_folder else _FILE)
            rule = struct.pack("=Qi", allowed, place)
            _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
            os.close(place)
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def drop_privileges() -> None:
    """No capability, now or by any program, also for root."""
    _prctl(_NO_NEW_PRIVS, 1)
    for number in range(_CAPABILITIES):
        _libc.prctl(_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0)  # refused to who has none, beyond the last one too
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0))


def filter_calls(program: bytes) -> None:
    """Hold this process, and all that it starts, to a filter of system calls."""
    steps = ctypes.create_string_buffer(program, len(program))
    shape = struct.pack("@HP", len(program) // _STEP_BYTES, ctypes.addressof(steps))
    _prctl(_SECCOMP, _FILTER, ctypes.c_char_p(shape))


def _prctl(option: int, *values: object) -> None:
    given = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in values]
    if _libc.prctl(ctypes.c_int(option), *given, *[ctypes.c_ulong(0)] * (4 - len(given))) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _call(number: int, *values: object) -> int:
    answer = int(_libc.syscall(ctypes.c_long(number), *values))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"Landlock call {number}: {os.strerror(ctypes.get_errno())}")
    return answer


def main() -> int:
    """Take the order from the descriptor that is named first, and run the command; its exit code."""
    parent, source = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent, signal.SIGKILL)
    with os.fdopen(source, "rb") as file:
        order = json.load(file)
    ours = os.getpid()
    guard = os.fork()
    if guard == 0:
        os._exit(_guard(order, ours))
    os.close(order["status"])
    _, status = os.waitpid(guard, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _guard(order: "dict[str, object]", parent: int) -> int:
    """Stay as the parent of the command and of all that it orphans, and end it all, also when we are killed.

    Nobody else finds a daemon that has left its group and its environment. So the guard is alone in its group, carries
    no mark of the command, and takes no signal but the one that tells of our death: a `kill 0` is not for it, nor is
    the hangup that the kernel sends to a group with a stopped process when its session goes.
    """
    os.setpgid(0, 0)
    _prctl(_CHILD_SUBREAPER, 1)
    _take_signals(signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _last_act)
    _die_with(parent, signal.SIGTERM)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _take_signals(signal.SIG_DFL)
        _become(order)
    os.close(int(str(order["status"])))
    code = 1
    while True:
        with suppress(ChildProcessError):
            pid, status = os.wait()
            if pid != child:
                continue
            code = os.waitstatus_to_exitcode(status)
        break
    _end_the_rest()
    return code if code >= 0 else 128 - code


def _take_signals(how: signal.Handlers) -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError):  # the C library keeps some of the real-time signals to itself
            signal.signal(number, how)


def _last_act(*_: object) -> None:
    _end_the_rest()
    os._exit(128 + signal.SIGTERM)


def _die_with(parent: int, number: signal.Signals) -> None:
    _prctl(_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(1)


def _become(order: "dict[str, object]") -> None:
    status = order["status"]
    try:
        _prctl(_PDEATHSIG, int(signal.SIGKILL))
        drop_privileges()
        confine([(str(path), int(rights)) for path, rights in order["rules"]])  # type: ignore[attr-defined]
        if order["filter"]:
            filter_calls(bytes.fromhex(str(order["filter"])))
        os.write(int(str(status)), b"exit-code")
        os.close(int(str(status)))
        os.environ.update(order["marked"])  # type: ignore[call-overload]
        argv = [str(word) for word in order["argv"]]  # type: ignore[attr-defined]
        os.execvp(argv[0], argv)  # noqa: S606  # the shell is among them
    except BaseException as error:  # noqa: BLE001  # the child of a fork must not go on as its parent
        os.write(2, f"{error}\n".encode())
    os._exit(126)


def _end_the_rest() -> None:
    """What the command left behind is our child by now, or the child of one that is."""
    while True:
        for pid in _children(os.getpid()):
            for each in [*_children(pid), pid]:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(each, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children(pid: int) -> "list[int]":
    with suppress(OSError):
        found: list[int] = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += [int(child) for child in file.read().split()]
        return found
    return []


if __name__ == "__main__":
    os._exit(main())
