"""Moving a ref of the hub: by compare-and-swap, on disk before the answer, and past locks that a kill left."""

import logging
import mmap
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.git.git_process import GitError
from headway.git.repo import Repo
from headway.system.boot import ticks_now
from headway.system.cache import BoundedCache
from headway.system.files import sync_folder
from headway.system.process import look

_STALE_S = 2.0
_TRIES = 3
_DIGITS = (40, 64)
_NO_REFS = frozenset({"cat-file", "commit-graph", "pack-objects", "read-tree", "repack", "update-index", "write-tree"})
"""Commands that work for long and take no lock of a ref."""

_sights: BoundedCache[Path, tuple[tuple[int, int], int]] = BoundedCache(1_000)
"""Lock files of others: inode and time of change, and when this process first saw them so. A forgotten one is waited
for anew."""

_log = logging.getLogger(__name__)


def read_ref(git_dir: Path, ref: str) -> Oid | None:
    """The commit of a ref of the hub; None when the ref does not exist. No process is started.

    Git packs a ref before it removes the loose file, and only a deletion takes it out of the packed ones. So a ref that
    is in neither, looked for in this order, was not there.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return Oid((git_dir / ref).read_text().strip())
    try:
        with (git_dir / "packed-refs").open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as packed:
                return _packed(packed, os.fsencode(ref))
    except FileNotFoundError:
        return None


def _packed(packed: mmap.mmap, ref: bytes) -> Oid | None:
    """The commit of a ref by the content of packed-refs: in 20 steps among 1,000,000 if git sorted them."""
    low, high = 0, len(packed)
    if b" sorted" not in packed[: packed.find(b"\n") + 1]:
        # By another program than git. Its line is an id, a space and the name.
        at = packed.find(b" %s\n" % ref)
        return _oid(packed[packed.rfind(b"\n", 0, at) + 1 : at]) if at >= 0 else None
    while low < high:
        start = max(low, packed.rfind(b"\n", 0, (low + high) // 2) + 1)
        if packed[start : start + 1] == b"^" and start > low:
            # The peeled id of the tag whose line stands above it.
            start = packed.rfind(b"\n", 0, start - 1) + 1
        end = packed.find(b"\n", start) + 1 or high
        oid, _, name = packed[start:end].rstrip(b"\n").partition(b" ")
        if oid[:1] in b"#^" or name < ref:
            low = end
        elif name > ref:
            high = start
        else:
            return _oid(oid)
    return None


def _oid(read: bytes) -> Oid | None:
    return Oid(read.decode()) if len(read) in _DIGITS else None


def swap(
    git_dir: Path, ref: str, to: Oid, expected: Oid, *, left: str, check: Callable[[], None], synced: bool
) -> bool:
    """Move `ref` from `expected`, in the way git does: by its lock file, compare, rename.

    The caller alone of us may move this ref: it holds the lock that guards it.

    Args:
        git_dir: The repository.
        ref: The full name of the ref.
        to: Its new commit.
        expected: The commit that it stands on.
        left: The commit that the holder before was about to write when it died; empty if it did not die so. A lock
            file that says the same is its own, and goes at once.
        check: Called when only the rename is left to do, after everything slow. If it raises, nothing moves.
        synced: Return only when the move is on disk.

    Returns:
        False, with nothing done, when the ref stands elsewhere.

    Raises:
        TransientError: A living git holds the ref.
    """
    path = git_dir / f"{ref}.lock"
    handle = _take_lock(path, ref, left)
    try:
        _fill_lock(handle, to, synced=synced)
        if read_ref(git_dir, ref) != expected:
            path.unlink()
            return False
        check()
        path.replace(git_dir / ref)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)
    return True


def _take_lock(path: Path, ref: str, left: str) -> int:
    """Make the lock file of a ref, and return its descriptor."""
    for _ in range(_TRIES):
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            _clear_lock(path, left)
    raise TransientError(f"{ref} stays locked by another process")


def _fill_lock(handle: int, to: Oid, *, synced: bool) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(to.encode() + b"\n")
        file.flush()
        if synced:
            os.fsync(file.fileno())


def _clear_lock(path: Path, left: str) -> None:
    with suppress(FileNotFoundError):
        # An empty one may be that of a git that packs the refs: it holds one while it removes the loose file, and would
        # remove the new one instead.
        if left and path.read_text().strip() == left:
            path.unlink()
            return
    _clear_stale_lock(path)


def move_ref(repo: Repo, ref: str, to: Oid, expected: Oid | None, keep: Sequence[int]) -> bool:
    """Move `ref` if it still stands at `expected` (None: it does not exist), and wait until that is on disk.

    The caller alone may move this ref just now: it holds a lock, `keep` among its descriptors, which the moving process
    holds too. So if the caller dies, no other process goes on before the move is done or undone.

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
    raise GitError(["update-ref"], 1, f"{ref} stays locked by another process")


def _sync_names(git_dir: Path, ref: str) -> None:
    """Git syncs the content of a ref, but not its name, nor the folders that were made for it."""
    folder = (git_dir / ref).parent
    while folder != git_dir:
        sync_folder(folder)
        folder = folder.parent


def _clear_stale_lock(path: Path) -> None:
    """Remove the lock of a git process that was killed.

    The caller holds the lock that guards the ref, so no process of ours holds the lock file. A user who pushes into the
    hub by hand may: that lock file changes or goes away. One that stays the same for two seconds has no holder, unless
    a git that was in the hub when the file was first seen still works there. Open descriptors prove nothing, because
    git closes the lock file while it holds the lock.

    Raises:
        TransientError: A git that may hold it works in the hub.
    """
    try:
        seen = path.stat()
        first_seen, until = _first_sight(path, seen), time.monotonic() + _STALE_S
        while time.monotonic() < until:
            if _changed(path, seen):
                return
            time.sleep(0.05)
        git_dir = next(above for above in path.parents if (above / "objects").is_dir())
        living = _gits_in(git_dir, first_seen)
        if living:
            raise TransientError(f"{path} is held by git, process {living[0]}; end it if it does not end itself")
        if not _changed(path, seen):
            path.unlink()
            _sights.drop(path)
            _log.warning("%s was left by a git that is gone; it is removed", path)
    except FileNotFoundError:
        return


def _first_sight(path: Path, seen: os.stat_result) -> int:
    """The time when this process first saw a lock file, in ticks since boot: file times move with the clock."""
    state = (seen.st_ino, seen.st_mtime_ns)
    with _sights.using(path, lambda: (state, ticks_now()), is_valid=lambda sight: sight[0] == state) as (_, ticks):
        return ticks


def _changed(path: Path, seen: os.stat_result) -> bool:
    now = path.stat()
    return (now.st_ino, now.st_mtime_ns) != (seen.st_ino, seen.st_mtime_ns)


def _gits_in(git_dir: Path, until: int) -> list[int]:
    """Processes of git that work in `git_dir` or for it, may hold a ref, and started by `until` (ticks since boot)."""
    found = []
    for process in psutil.process_iter(["name"]):
        if not (process.info["name"] or "").startswith("git"):
            continue
        seen = look(process.pid)
        if seen is None or seen.start > until:
            continue
        with suppress(psutil.Error, OSError):
            words = process.cmdline()
            named = [process.cwd(), process.environ().get("GIT_DIR", ""), *words]
            if any(str(git_dir) in each for each in named) and _NO_REFS.isdisjoint(words):
                found.append(process.pid)
    return found
