"""Files of the engine: written whole or not at all, on disk where that matters, and locks that a death releases.

Nothing else in the engine writes a state file. A file is `synced` when its loss would do harm; after a crash of the
machine every other one may be missing, empty or torn, and its reader takes that for absent.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headway.system.walk import let_in

PRIVATE_FOLDER = 0o700
"""Logs hold what commands printed and models said; they are for their user alone."""

PRIVATE_FILE = 0o600

_NEW = ".new-"
"""Prefix of the name of a file that is being made. A killed process may leave one behind; it is never read."""


def write_whole(path: Path, content: bytes, *, synced: bool, scratch: Path | None = None, mode: int = 0o644) -> None:
    """Put `content` at `path` atomically: a reader finds the old file or the new one, also after a kill.

    Args:
        path: Its folder exists.
        content: All of it.
        synced: Return only when file and name are on disk. Then a crash of the machine, too, leaves the old file or the
            new one. Without it such a crash may leave an empty file, which the reader must take for absent.
        scratch: Folder in which the new file is made first; by default that of `path`. For a `path` in a folder that
            belongs to an agent.
        mode: Permissions of the file.

    Raises:
        OSError: It could not be written or synced; `path` holds the old file or the new one.
    """
    # Plain calls: a file object and `Path` cost as much as the kernel does, and each landing queues a file.
    made = f"{os.fspath(scratch or path.parent)}/{_NEW}{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _write_all(handle, content)
            if synced:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(made, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)  # noqa: PTH108
        raise
    if synced:
        sync_folder(path.parent)


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def place_new(path: Path, content: bytes, *, mode: int = PRIVATE_FILE) -> bool:
    """Put a whole, synced file at `path` unless one is there. Of several callers at once one succeeds.

    A lock file next to it decides, because exFAT and many network shares have no hard links.

    Returns:
        False if there was a file already; it stayed, and its name is on disk.
    """
    with locked(path.with_name(f".{path.name}.lock")):
        if path.exists():
            sync_folder(path.parent)  # the process that placed it may have been killed before it did
            return False
        write_whole(path, content, synced=True, mode=mode)
        return True


def sync_again(descriptor: int, start: int, end: int) -> None:
    """Write the bytes from `start` to `end` of a file again and sync them, after a sync has failed.

    The kernel marks pages that it failed to write as clean. So a second sync alone would report success
    (lwn.net/Articles/752063).
    """
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)  # without O_APPEND, to write in the middle
    try:
        while start < end:
            start += os.pwrite(again, os.pread(again, min(end - start, 1 << 20), start), start)
        os.fsync(again)
    finally:
        os.close(again)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a crash loses a synced file whose name is not on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, private, each name synced."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)
    sync_folder(folder.parent)


def delete(folder: Path) -> None:
    """Delete a tree, also one with folders that an agent made read-only. Does nothing when the tree is gone.

    Another process may be deleting it at the same time.
    """
    if not folder.exists():
        return
    make_writable(folder)
    try:
        shutil.rmtree(folder)
    except (RecursionError, OSError) as error:
        # Agents make folders deeper than a path may be long; rm climbs down step by step.
        done = subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode and folder.exists():
            number = error.errno if isinstance(error, OSError) else None
            raise OSError(number, f"cannot be deleted: {done.stderr.strip()}", str(folder)) from None


def make_writable(folder: Path) -> None:
    """Give this process access to every folder of a tree. Links are not followed."""
    if os.geteuid() == 0:
        return
    let_in(folder)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path`, waiting as long as it takes; yields its file descriptor.

    The kernel releases it when the last process that holds the descriptor ends, also by a kill. The holder may delete
    the file as its last act: a process that waits for the lock then takes that of the file that comes next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                yield handle
                return
        finally:
            os.close(handle)
