"""How much room the disk of a folder has left, in blocks and in inodes: a file needs both."""

import os
from dataclasses import dataclass
from pathlib import Path

_GB = 1024**3


@dataclass(frozen=True)
class DiskBounds:
    """From where on a disk counts as short: below a share of it that is free, and below an amount.

    Attributes:
        share: Least free share for new commands, of blocks and of inodes alike.
        nbytes: Least free bytes; more than that is enough, whatever the share.
        inodes: Least free inodes, in the same way.
        busy_share: Free share below which no new agent starts; the amounts are four times as large for that.
    """

    share: float = 0.10
    nbytes: int = 5 * _GB
    inodes: int = 100_000
    busy_share: float = 0.15


@dataclass(frozen=True)
class Disk:
    """One look at it.

    Attributes:
        share: Share of the disk that is free for us.
        nbytes: The same, in bytes.
        inode_share: Share of its inodes that is free; 1.0 where their number is not bounded, as on btrfs.
        inodes: Their number; None where it is not bounded.
    """

    share: float
    nbytes: int
    inode_share: float = 1.0
    inodes: int | None = None

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        """The disk that `folder` lies on, or what is there of the way to it."""
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
        """What is short for new commands: "disk" or "inodes"; None when neither is."""
        return self._short(bounds.share, bounds.nbytes, bounds.inodes)

    def short_for_agents(self, bounds: DiskBounds) -> str | None:
        """The same for new agents, which need more."""
        return self._short(bounds.busy_share, 4 * bounds.nbytes, 4 * bounds.inodes)

    def _short(self, share: float, nbytes: int, inodes: int) -> str | None:
        if self.share < share and self.nbytes < nbytes:
            return "disk"
        if self.inodes is not None and self.inode_share < share and self.inodes < inodes:
            return "inodes"
        return None

    def shown(self) -> str:
        """In words."""
        inodes = "" if self.inodes is None else f", {self.inodes:,} inodes free ({1 - self.inode_share:.0%} used)"
        return f"{self.nbytes / 1e9:,.1f} GB free ({1 - self.share:.0%} used){inodes}"


def shortage_of_disk(folder: Path) -> str | None:
    """What the disk of `folder` lacks for new commands or agents, in words for its user; None when it has room."""
    disk, bounds = Disk.of(folder), DiskBounds()
    if (short := disk.short(bounds)) is not None:
        return f"the disk of {folder} is short of {_noun(short)}: {disk.shown()}; commands of agents wait"
    if (short := disk.short_for_agents(bounds)) is not None:
        return f"the disk of {folder} is short of {_noun(short)}: {disk.shown()}; fewer agents start"
    return None


def _noun(short: str) -> str:
    return "room" if short == "disk" else short
