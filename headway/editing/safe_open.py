"""Opens files below a folder so that no link, put anywhere on the way at any moment, leads out of it.

A path is resolved and checked first. A process that still runs may put a link in a folder's place right after. So the
checked path is then walked part by part, by descriptor, and a part that has become a link is refused.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

PERMISSIONS = 0o777
"""The part of a file's mode that is kept. The harness owns files that it makes, so no set-user-id bit may stay."""


@contextmanager
def folder_at(root: Path, target: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `target`, which is `root` or below it.

    Args:
        root: Trusted as it is.
        target: A path without links.
        make: Make its missing folders.

    Raises:
        OSError: It is not there, or a part of it is no folder, or a link by now.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in target.relative_to(root).parts:
            if make:
                _make(part, fd)
            below = os.open(part, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextmanager
def below_of(folder: int, name: str) -> Iterator[int]:
    """A descriptor of a folder in another.

    Raises:
        OSError: It may not be entered, or is a link by now.
    """
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def file_at(root: Path, target: Path) -> Iterator[int]:
    """A descriptor for reading `target`, which is `root` or below it. A pipe is not waited for.

    Raises:
        OSError: It is not there, or a part of it is a link by now.
    """
    if target == root:
        with folder_at(root, root) as fd:
            yield fd
        return
    with folder_at(root, target.parent) as folder:
        fd = os.open(target.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def replace_at(root: Path, target: Path, content: bytes, scratch: Path, mode: int) -> None:
    """Put `content` at `target`, below `root`, whole or not at all; folders above it are made.

    Args:
        root: Trusted as it is.
        target: A path without links.
        content: The new content.
        scratch: Place where the new file is made first, on the same file system and below `root`.
        mode: Its permissions; a set-user-id, set-group-id or sticky bit is dropped.

    Raises:
        OSError: The system refuses it, or a part of the path is a link by now.
    """
    name = f".{target.name[:100]}.{os.urandom(6).hex()}"
    with folder_at(root, scratch) as making, folder_at(root, target.parent, make=True) as folder:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & PERMISSIONS, dir_fd=making)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
            os.rename(name, target.name, src_dir_fd=making, dst_dir_fd=folder)
        except BaseException:
            os.unlink(name, dir_fd=making)
            raise


def stage_at(root: Path, staged: Path, content: bytes, mode: int) -> None:
    """Make a file that `move_at` will put in its place. A file at `staged` is deleted.

    Raises:
        OSError: The system refuses it, or a part of the path is a link by now.
    """
    with folder_at(root, staged.parent) as folder:
        with suppress(FileNotFoundError):
            os.unlink(staged.name, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(staged.name, flags, mode & PERMISSIONS, dir_fd=folder), "wb") as file:
            file.write(content)


def move_at(root: Path, source: Path, target: Path) -> None:
    """Put one file in the place of another, in one step; folders above it are made.

    Raises:
        OSError: The system refuses it, or a part of a path is a link by now.
    """
    with folder_at(root, source.parent) as old, folder_at(root, target.parent, make=True) as new:
        os.rename(source.name, target.name, src_dir_fd=old, dst_dir_fd=new)


def remove_at(root: Path, target: Path) -> None:
    """Remove a file.

    Raises:
        OSError: The system refuses it, or a part of the path is a link by now.
    """
    with folder_at(root, target.parent) as folder:
        os.unlink(target.name, dir_fd=folder)


def _make(part: str, folder: int) -> None:
    try:
        os.mkdir(part, dir_fd=folder)
    except FileExistsError:
        return
