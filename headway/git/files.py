"""Small files of the harness itself: written whole or not at all, and locks that their holder's death releases."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes, *, scratch: Path | None = None, mode: int = 0o644) -> None:
    """Put `content` at `path` so that a reader, and a kill at any moment, sees the old file or the new one.

    `scratch` is where the new file is made, when the folder of `path` is not the harness's own.
    """
    made = (scratch or path.parent) / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk; git syncs a ref's content, not its new name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path`, waiting as long as it takes; yields its file descriptor.

    The kernel releases it when the last process that holds the descriptor is gone, however it went.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
