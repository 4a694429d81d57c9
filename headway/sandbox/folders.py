"""Folders of the harness inside folders that commands may write."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def own_folder(parent: Path, name: str) -> Path:
    """A folder in one that commands may write. Whatever else a command left in its place goes."""
    return own_folders(parent, Path(name))


def own_folders(parent: Path, below: Path) -> Path:
    """A folder some levels below one that commands may write, each level a real folder.

    It is walked by descriptors, and no link that a command left is followed: a link or file in place of a folder is
    deleted.

    Args:
        parent: Exists; no command may write the path to it.
        below: Relative, without `..`.
    """
    at = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in below.parts:
            with suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.stat(part, dir_fd=at, follow_symlinks=False).st_mode):
                    os.unlink(part, dir_fd=at)
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=at)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
    finally:
        os.close(at)
    return parent / below
