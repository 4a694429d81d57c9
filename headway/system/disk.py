"""Free space of the disk that a folder lies on, in bytes and in inodes: a file needs both."""

import os
from dataclasses import dataclass
from pathlib import Path

_GB = 1024**3
_SHOWN_IN_GB = 10**9


@dataclass(frozen=True)
class DiskBounds:
    """Thresholds of a disk. It is short when the free share and the free amount are both below theirs.

    Attributes:
        share: Least free share for new commands, of blocks and of inodes alike.
        nbytes: Least free bytes for new commands.
        inodes: Least free inodes for new commands.
        busy_share: Least free share for new agents. Their least amounts are four times those of commands.
    """

    share: float = 0.10
    nbytes: int = 5 * _GB
    inodes: int = 100_000
    busy_share: float = 0.15


@dataclass(frozen=True)
class Disk:
    """Free space of a disk at one moment.

    Attributes:
        share: Share of the disk that this user may still fill.
        nbytes: The same, in bytes.
        inode_share: Share of its inodes that is free; 1.0 where the file system has no bound on them, as btrfs.
        inodes: Number of free inodes; None where the file system has no bound on them.
    """

    share: float
    nbytes: int
    inode_share: float = 1.0
    inodes: int | None = None

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        """The disk of `folder`, or of its nearest ancestor that exists."""
        found = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
        free = found.f_bavail * found.f_frsize
        usable = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
        return cls(
            share=free / usable if usable else 1.0,
            nbytes=free,
            inode_share=found.f_favail / found.f_files if found.f_files else 1.0,
            inodes=found.f_favail if found.f_files else None,
        )

    def short(self, bounds: DiskBounds) -> str | None:
        """The resource that is short for new commands: "disk" or "inodes"; None when both suffice."""
        return self._short(bounds.share, bounds.nbytes, bounds.inodes)

    def short_for_agents(self, bounds: DiskBounds) -> str | None:
        """The same as `short` for new agents, which need more."""
        return self._short(bounds.busy_share, 4 * bounds.nbytes, 4 * bounds.inodes)

    def _short(self, share: float, nbytes: int, inodes: int) -> str | None:
        if self.share < share and self.nbytes < nbytes:
            return "disk"
        if self.inodes is not None and self.inode_share < share and self.inodes < inodes:
            return "inodes"
        return None

    def shown(self) -> str:
        """Free bytes and inodes, for a message."""
        inodes = "" if self.inodes is None else f", {self.inodes:,} inodes free ({1 - self.inode_share:.0%} used)"
        free = f"{self.nbytes / 1e9:,.1f} GB" if self.nbytes >= _SHOWN_IN_GB else f"{self.nbytes / 1e6:,.0f} MB"
        return f"{free} free ({1 - self.share:.0%} used){inodes}"


def shortage_of_disk(folder: Path) -> str | None:
    """A sentence for the user when the disk of `folder` is short for new commands or agents; else None."""
    disk, bounds = Disk.of(folder), DiskBounds()
    if (short := disk.short(bounds)) is not None:
        return f"the disk of {folder} is short of {_noun(short)}: {disk.shown()}; commands of agents wait"
    if (short := disk.short_for_agents(bounds)) is not None:
        return f"the disk of {folder} is short of {_noun(short)}: {disk.shown()}; fewer agents start"
    return None


def _noun(short: str) -> str:
    return "room" if short == "disk" else short
