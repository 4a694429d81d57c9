"""Power losses: an ext4 whose backing file is copied while it is written. The copy is what the disk held just then.

The file lies on XFS, which copies it by reflink: in milliseconds, and with writes to it held off. What ext4 had not
written yet, because nothing asked for a sync, is not in the copy.
"""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.disks import make, mount, unmount

OUTER_MB = 6_000
INNER_MB = 1_200


class Rig:
    """A disk that can lose its power. Everything lies in memory; root only, else the test is skipped.

    Attributes:
        at: Where the disk is mounted, before a loss and after it.
    """

    def __init__(self, folder: Path) -> None:
        self._ram, self._outer = folder / "ram", folder / "outer"
        self.at = folder / "disk"
        self.copies = 0

    def __enter__(self) -> Self:
        for place in (self._ram, self._outer, self.at):
            place.mkdir(parents=True)
        if os.geteuid() == 0:
            mount("-t", "tmpfs", "-o", f"size={OUTER_MB}m", "tmpfs", str(self._ram))
        try:
            make(self._ram / "outer.img", "xfs", OUTER_MB)
            mount("-o", "loop", str(self._ram / "outer.img"), str(self._outer))
            make(self._outer / "disk.img", "ext4", INNER_MB)
            self.insert(self._outer / "disk.img")
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clear()

    def _clear(self) -> None:
        for place in (self.at, self._outer, self._ram):
            unmount(place)

    def copy(self) -> Path:
        """The disk as it is at this moment."""
        self.copies += 1
        taken = self._outer / f"copy-{self.copies}.img"
        subprocess.run(["cp", "--reflink=always", str(self._outer / "disk.img"), str(taken)], check=True)
        return taken

    def insert(self, image: Path) -> None:
        """Mount a disk in the place of the one before. Nothing may use that any more."""
        unmount(self.at)
        mount("-o", "loop", str(image), str(self.at))

    def fresh(self) -> None:
        """Begin anew with an empty disk."""
        unmount(self.at)
        for image in self._outer.glob("*.img"):
            image.unlink()
        make(self._outer / "disk.img", "ext4", INNER_MB)
        self.insert(self._outer / "disk.img")
