"""Namespaces of mounts, and mounts that are carried from one into another. Linux only; every call may be refused.

System calls by number where the C library has no name for them everywhere.
"""

import ctypes
import functools
import os
import re
from pathlib import Path

_OPEN_TREE, _MOVE_MOUNT = 428, 429
"""The same on every architecture; Linux 5.2 and newer."""

_NEW_NAMESPACE = 0x20000
_CLONE, _RECURSIVE = 1, 0x8000
_FROM_EMPTY_PATH = 4
_HERE = -100
_DETACH = 2
_PRIVATE = 0x4000 | 0x40000  # recursively

WORKSPACES = ("overlay", "headway")
"""Type and source of the mounts of workspaces, by the names that their maker gives them."""


def own_namespace() -> int:
    """A descriptor of the namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def leave() -> None:
    """Move this thread into a namespace of its own, with a copy of every mount of the one that it was in.

    The rest of the process stays in the old one. Mounts that were shared are still shared; see `part`.
    """
    _done(_libc().unshare(ctypes.c_int(_NEW_NAMESPACE)))


def part() -> None:
    """From now on nothing that is mounted elsewhere appears in this thread's namespace, nor the other way round."""
    _done(_libc().mount(None, b"/", None, ctypes.c_ulong(_PRIVATE), None))


def enter(namespace: int) -> None:
    """This thread, which has left before, goes into a namespace; it then stands at its root."""
    _done(_libc().setns(ctypes.c_int(namespace), ctypes.c_int(_NEW_NAMESPACE)))


def forget_workspaces() -> None:
    """Take the mounts of workspaces out of this thread's namespace."""
    lines = Path("/proc/thread-self/mountinfo").read_bytes().splitlines()
    for line in reversed(lines):
        before, _, after = line.partition(b" - ")
        if tuple(os.fsdecode(word) for word in after.split(b" ")[:2]) == WORKSPACES:
            at = re.sub(rb"\\([0-7]{3})", lambda escape: bytes([int(escape[1], 8)]), before.split(b" ")[4])
            _libc().umount2(at, ctypes.c_int(_DETACH))  # one that stays costs a little time


def copy(place: str) -> int:
    """A descriptor of a copy of the mounts at a place and below it, which is mounted nowhere yet."""
    flags = ctypes.c_uint(_CLONE | os.O_CLOEXEC | _RECURSIVE)
    return _done(_libc().syscall(ctypes.c_long(_OPEN_TREE), ctypes.c_int(_HERE), os.fsencode(place), flags))


def put(tree: int, place: str) -> None:
    """Mount such a copy at a place in this thread's namespace."""
    here, flags = ctypes.c_int(_HERE), ctypes.c_uint(_FROM_EMPTY_PATH)
    _done(_libc().syscall(ctypes.c_long(_MOVE_MOUNT), ctypes.c_int(tree), b"", here, os.fsencode(place), flags))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
