"""Small files of the harness itself: written whole or not at all, and locks that their holder's death releases."""

import fcntl
import os
import shutil
import subprocess
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


def delete(folder: Path) -> None:
    """Delete a tree, also where an agent left folders that may not be written; nothing when it is gone."""
    if not folder.exists():
        return
    make_writable(folder)
    try:
        shutil.rmtree(folder)
    except (RecursionError, OSError):
        # Agents make folders deeper than a path may be long; rm climbs down step by step.
        done = subprocess.run(["rm", "-rf", "--", str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{folder} cannot be deleted: {done.stderr.strip()}") from None


def make_writable(folder: Path) -> None:
    """Let us into every folder of a tree. Links are not followed."""
    if os.geteuid() == 0:
        return
    for place, below, _ in os.walk(folder):
        for name in below:
            found = Path(place) / name
            if not found.is_symlink():
                found.chmod(found.stat().st_mode | 0o700)


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
