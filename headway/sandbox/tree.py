"""What a workspace takes of the disk: only what its commands wrote, where it lies on an overlay."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.finding import Finding

_MB = 1024 * 1024
_USUAL_MB = 20_000
FILES_PER_MB = 25
"""A quota also bounds the number of files: 40 KB each on average, which no ordinary tree stays below."""


@dataclass(frozen=True)
class Size:
    """What a tree takes.

    Attributes:
        mb: Blocks, in MB; a hole takes none.
        files: Files and folders.
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
        """What a workspace may take unless somebody says otherwise: a quarter of its disk, at most 20 GB."""
        disk = os.statvfs(folder)
        return cls(max(1, min(_USUAL_MB, disk.f_blocks * disk.f_frsize // 4 // _MB)))

    def findings(self) -> tuple[Finding, ...]:
        """What `headway doctor` says of quotas."""
        says = (
            f"disk quota: {self.mb:,} MB and {self.files:,} files for each workspace, watched four times a second; "
            "one file is held to it by the kernel"
        )
        return (Finding(topic="quota", state="good", says=says),)

    def holds(self, size: Size) -> bool:
        """Whether a tree is within."""
        return size.mb <= self.mb and size.files <= self.files


def measure(workspace: Path, quota: Quota) -> Size:
    """What a workspace takes. Links are not followed, and nobody counts on after the quota is passed.

    Walks the tree: 15 ms for 7,500 files.
    """
    blocks, files = 0, 0
    todo = [os.fspath(written_part(workspace))]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:  # it changes while we look
            for entry in entries:
                files += 1
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    blocks += entry.stat(follow_symlinks=False).st_blocks
        if not quota.holds(Size(blocks * 512 / _MB, files)):
            break
    return Size(blocks * 512 / _MB, files)


def written_part(workspace: Path) -> Path:
    """Where the writes of a workspace go: the upper layer if it is an overlay, else all of it."""
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
