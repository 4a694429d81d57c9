"""Walks a tree that an agent made: of any depth, with any permissions, and with links where folders were.

Each folder is opened from the one above it, by descriptor, so that no path gets too long and no link is followed. One
descriptor is open at a time. A folder that this user may not enter gets its owner's permissions first.
"""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER = stat.S_IRWXU


class Place(NamedTuple):
    """One folder of a walk.

    Attributes:
        fd: Its descriptor, which is valid until the walk goes on.
        path: Its path from the top; empty for the top.
        names: Its entries that are not folders.
    """

    fd: int
    path: str
    names: list[str]


def walk(top: Path, leave_out: Collection[str] = ()) -> Iterator[Place]:
    """Every folder from `top` down, without those named in `leave_out` and those that cannot be opened.

    The tree must not be moved while it is walked.
    """
    try:
        fd = _opened(str(top), None)
    except OSError:
        return
    path: list[str] = []
    todo: list[list[str]] = []
    try:
        while True:
            names, folders = _entries(fd)
            yield Place(fd, "/".join(path), names)
            todo.append([name for name in folders if name not in leave_out])
            while not (below := _next(todo[-1], fd)):
                todo.pop()
                if not todo:
                    return
                fd = _replaced(fd, os.open("..", _FOLDER, dir_fd=fd))
                path.pop()
            fd = _replaced(fd, below[0])
            path.append(below[1])
    finally:
        os.close(fd)


def let_in(top: Path) -> None:
    """Give the owner of every folder of a tree all permissions on it."""
    for place in walk(top):
        with suppress(OSError):
            mode = stat.S_IMODE(os.fstat(place.fd).st_mode)
            if mode & _ENTER != _ENTER:
                os.fchmod(place.fd, mode | _ENTER)


def _entries(fd: int) -> tuple[list[str], list[str]]:
    names: list[str] = []
    folders: list[str] = []
    with suppress(OSError), os.scandir(fd) as found:
        for entry in found:
            (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    return names, folders


def _next(folders: list[str], fd: int) -> tuple[int, str] | None:
    """The next of these folders that can be opened."""
    while folders:
        name = folders.pop()
        with suppress(OSError):
            return _opened(name, fd), name
    return None


def _opened(name: str, folder: int | None) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        # O_PATH needs no permission on the folder, and no link can take its place before the permissions are changed.
        held = os.open(name, _FOLDER | getattr(os, "O_PATH", 0), dir_fd=folder)
        try:
            Path(f"/proc/self/fd/{held}").chmod(0o700)
        finally:
            os.close(held)
        return os.open(name, _FOLDER, dir_fd=folder)


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new
