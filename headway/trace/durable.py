"""Files and folders that are still there after a crash of the machine, once the call has returned."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

PRIVATE_FOLDER = 0o700
"""Logs hold what commands printed and models said; they are for their user alone."""

PRIVATE_FILE = 0o600


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a synced file is lost all the same while its name is not on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each name synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)
    sync_folder(folder.parent)


def place(path: Path, content: bytes, *, replace: bool) -> bool:
    """Put a whole, synced file at `path`, or nothing.

    Args:
        path: Where; its folder exists.
        content: All of it.
        replace: Whether a file that is there already gives way.

    Returns:
        False if there was a file already and it stayed.
    """
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            path.hardlink_to(new)
    except FileExistsError:
        return False
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def remove_tree(folder: Path) -> None:
    """Delete a folder with everything in it, also where an agent left folders that may not be written.

    Somebody else may be deleting it as well.
    """
    for parent, below, _ in os.walk(folder):
        for name in below:
            found = Path(parent) / name
            if not found.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    found.chmod(PRIVATE_FOLDER)
    while folder.exists():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
