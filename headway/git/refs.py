"""Moving a ref of the hub: by compare-and-swap, on disk before anybody is told, and past what a kill left behind."""

import time
from collections.abc import Sequence
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.files import sync_folder
from headway.git.repo import GitError, Repo

_STALE_S = 2.0
_TRIES = 3


def move_ref(repo: Repo, ref: str, to: Oid, expected: Oid | None, keep: Sequence[int]) -> bool:
    """Move `ref` if it still stands at `expected` (None: it does not exist), and wait until that is on disk.

    The caller alone may move this ref just now: it holds a lock, `keep` among its descriptors, which the moving process
    holds too. So should the caller die, nobody goes on before the move is done or undone.

    Returns:
        False, with nothing done, when the ref stands elsewhere.
    """
    for _ in range(_TRIES):
        said = repo.run("update-ref", ref, to, expected or "0" * len(to), ok=None, keep=keep)
        if said.code == 0:
            _sync_names(repo.git_dir, ref)
            return True
        if ".lock': File exists" in said.err:
            _clear_stale_lock(repo.git_dir / f"{ref}.lock")
        elif "but expected" in said.err or "already exists" in said.err or "unable to resolve" in said.err:
            return False
        else:
            raise GitError(["update-ref"], said.code, said.err)
    raise GitError(["update-ref"], 1, f"{ref} stays locked by somebody else")


def _sync_names(git_dir: Path, ref: str) -> None:
    """Git syncs what a ref says, but not its name, nor the folders that were made for it."""
    folder = (git_dir / ref).parent
    while folder != git_dir:
        sync_folder(folder)
        folder = folder.parent


def _clear_stale_lock(path: Path) -> None:
    """Remove the lock of a git process that was killed.

    Our own processes are not alive, because we hold the lock that guards the ref. What is left is somebody who pushes
    into the hub by hand: that lock changes or goes away. One that stays the same for two seconds has no holder.
    """
    try:
        seen = path.stat()
        until = time.monotonic() + _STALE_S
        while time.monotonic() < until:
            now = path.stat()
            if (now.st_ino, now.st_mtime_ns) != (seen.st_ino, seen.st_mtime_ns):
                return
            time.sleep(0.05)
        path.unlink()
    except FileNotFoundError:
        return
