"""Measures the disk space of a workspace: on an overlay only the layer to which its commands write."""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.diagnostic import Diagnostic

_MB = 1024 * 1024
_USUAL_MB = 20_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NESTED = 500
_LOOKED_AT = 64
FILES_PER_MB = 25
SMALL_MB = 500
"""A workspace of less is told as lacking."""
"""A quota also bounds the number of files, at an average of 40 KB. The files of ordinary trees are larger than that."""


@dataclass(frozen=True)
class Size:
    """Disk use of a tree.

    Attributes:
        mb: Allocated blocks, in MB; holes of sparse files take none.
        files: Number of files and folders.
    """

    mb: float
    files: int


@dataclass(frozen=True)
class Quota:
    """The most that a tree may take."""

    mb: int

    @property
    def files(self) -> int:
        """The most files and folders."""
        return self.mb * FILES_PER_MB

    @classmethod
    def usual(cls, folder: Path) -> "Quota":
        """The default for a workspace: a quarter of its disk, at most 20 GB."""
        disk = os.statvfs(folder)
        return cls(max(1, min(_USUAL_MB, disk.f_blocks * disk.f_frsize // 4 // _MB)))

    def findings(self) -> tuple[Diagnostic, ...]:
        """The findings of `headway doctor` about quotas."""
        says = (
            f"disk quota: {self.mb:,} MB and {self.files:,} files for each workspace, watched four times a second; "
            "one file is held to it by the kernel"
        )
        if self.mb < SMALL_MB:
            remedy = "Set HEADWAY_HOME to a folder on a larger disk, or HEADWAY_AGENT_DISK_MB to more."
            return (Diagnostic(topic="quota", state="lacking", says=f"{says}: little for a build", remedy=remedy),)
        return (Diagnostic(topic="quota", state="good", says=says),)

    def holds(self, size: Size) -> bool:
        """True if a tree of this size is within the quota."""
        return size.mb <= self.mb and size.files <= self.files


@dataclass(frozen=True)
class Found:
    """A file or folder of a tree.

    Attributes:
        parts: The names that lead to it, from the root.
        folder: A descriptor of the folder that holds it, valid until the next one is asked for.
        status: As `lstat` tells it.
    """

    parts: tuple[str, ...]
    folder: int
    status: os.stat_result


class TooDeep(Exception):
    """Folders are nested deeper than in any honest tree."""


class _Folder:
    """An open folder. It is closed when the last entry that refers to it is forgotten."""

    def __init__(self, fd: int, parts: tuple[str, ...], alive: list[int]) -> None:
        self.fd = fd
        self.parts = parts
        self._alive = alive
        alive.append(fd)

    def __del__(self) -> None:
        self._alive.pop()
        os.close(self.fd)


def walk(root: Path) -> Iterator[Found]:
    """Everything in a tree, by descriptors: a path may be longer than the kernel takes. No link is followed.

    Raises:
        TooDeep: `_NESTED` folders are nested and each has another folder next to it.
    """
    todo: list[tuple[_Folder | None, str]] = [(None, os.fspath(root))]
    alive: list[int] = []
    while todo:
        parent, name = todo.pop()
        if len(alive) > _NESTED:
            raise TooDeep(f"{root} holds more than {_NESTED} folders inside of each other")
        with suppress(OSError):  # it changes while we look
            fd = os.open(name, _FOLDER, dir_fd=None if parent is None else parent.fd)
            folder = _Folder(fd, () if parent is None else (*parent.parts, name), alive)
            with os.scandir(fd) as entries:
                for entry in entries:
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(status.st_mode):
                            todo.append((folder, entry.name))
                        yield Found((*folder.parts, entry.name), fd, status)


def measure(workspace: Path, quota: Quota) -> Size:
    """Disk use of a workspace. The count stops once the quota is passed.

    Walks the tree: 25 ms for 7,500 files.
    """
    blocks, files = 0, 0
    try:
        for found in walk(written_part(workspace)):
            files += 1
            blocks += found.status.st_blocks
            if files % _LOOKED_AT == 0 and not quota.holds(Size(blocks * 512 / _MB, files)):
                break
    except TooDeep:
        return Size(blocks * 512 / _MB, max(files, quota.files + 1))
    return Size(blocks * 512 / _MB, files)


def remove_since(workspace: Path, since_ns: int, quota: Quota, kept: Collection[str] = ()) -> Size:
    """Remove the files written since a moment, the largest first, until the workspace is within its quota.

    New folders stay, and so do the files in `kept`: one that is gone would land as deleted.

    Args:
        workspace: No command of its agent runs.
        since_ns: By the clock of file times. If that clock was set back meanwhile, no file is found.
        quota: The size at which removing stops.
        kept: Paths from the workspace's top that are never removed.

    Returns:
        The size of the removed files.
    """
    mb, files, written = 0.0, 0, []
    with suppress(TooDeep):
        for found in walk(written_part(workspace)):
            size = found.status.st_blocks * 512 / _MB
            mb, files = mb + size, files + 1
            young = found.status.st_ctime_ns >= since_ns and not stat.S_ISDIR(found.status.st_mode)
            if young and "/".join(found.parts) not in kept:
                written.append((size, found.parts))
    removed = Size(0.0, 0)
    for size, parts in sorted(written, reverse=True):
        if quota.holds(Size(mb - removed.mb, files - removed.files)):
            break
        if _unlink(workspace, parts):
            removed = Size(removed.mb + size, removed.files + 1)
    return removed


def _unlink(root: Path, parts: tuple[str, ...]) -> bool:
    """Remove a file below a root without following links. Returns whether it was removed."""
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        os.unlink(parts[-1], dir_fd=at)
    except OSError:
        return False
    finally:
        os.close(at)
    return True


def written_part(workspace: Path) -> Path:
    """The folder that takes the writes of a workspace: the upper layer of an overlay, else the workspace itself."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return workspace
    place = str(workspace.resolve()).replace(" ", "\\040")
    for line in reversed(mounts.splitlines()):
        before, _, after = line.partition(" - ")
        if before.split()[4] == place and after.startswith(("overlay ", "fuse.fuse-overlayfs ")):
            options = after.split(" ", 2)[2].split(",")
            upper = next((word.removeprefix("upperdir=") for word in options if word.startswith("upperdir=")), "")
            named = bool(upper) and not upper.startswith("/proc/") and Path(upper).is_dir()
            return Path(upper.replace("\\040", " ")) if named else workspace
    return workspace
