"""Disks of a test's own, small enough to be filled: file systems in files, mounted by root."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-m", "reflink=1"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
_LEAST_MB = {"ext4": 32, "xfs": 320, "btrfs": 128}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}


class Disk:
    """A mounted disk; the test is skipped where there is none to be had.

    Args:
        folder: Where its mount point and its image lie.
        kind: tmpfs, ext4, xfs or btrfs.
        mb: Its size, at least what such a file system needs.
        options: For mount.
    """

    def __init__(self, folder: Path, kind: str, mb: int = 0, options: str = "") -> None:
        self.at = folder / f"{kind}-disk"
        self.image = folder / f"{kind}.img"
        self.kind = kind
        self._mb = max(mb, _LEAST_MB.get(kind, 32))
        self._options = options

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("only root can mount a disk")
        self.at.mkdir()
        if self.kind == "tmpfs":
            mount("-t", "tmpfs", "-o", f"size={self._mb}m,{self._options}".rstrip(","), "tmpfs", str(self.at))
            return self
        make(self.image, self.kind, self._mb)
        mount("-o", f"loop,{self._options}".rstrip(","), str(self.image), str(self.at))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        unmount(self.at)
        self.image.unlink(missing_ok=True)


def make(image: Path, kind: str, mb: int) -> None:
    """Make a file system in a file."""
    command = _MAKE[kind]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not here: apt install {PACKAGES[kind]}")
    with image.open("wb") as file:
        file.truncate(mb << 20)
    subprocess.run([*command, str(image)], check=True, capture_output=True)


def mount(*arguments: str) -> None:
    """Mount; the test is skipped where the kernel or the container does not let us."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no such mount here: {done.stderr.strip()}")


def unmount(at: Path) -> None:
    """Take a mount away with all that is mounted below it."""
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p == str(at) or p.startswith(f"{at}/")), reverse=True):
        if subprocess.run(["umount", point], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)


def fill(at: Path, leave: int = 0) -> Path:
    """Fill a disk but for so many bytes: blocks, then inodes. Deleting what is returned gives the room back."""
    ballast = at / "ballast"
    ballast.mkdir(exist_ok=True)
    with (ballast / "blocks").open("ab", buffering=0) as file:
        for piece in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * piece)
                    if piece == 1 and file.tell() % 4096 == 0:
                        break
        with contextlib.suppress(OSError):
            os.fsync(file.fileno())
    if leave:
        os.truncate(ballast / "blocks", max(0, (ballast / "blocks").stat().st_size - leave))
    else:
        take_inodes(ballast)
    return ballast


def take_inodes(ballast: Path) -> None:
    """Use up all inodes of a disk, where their number is bounded."""
    found = os.statvfs(ballast)
    if not found.f_files or found.f_favail > 200_000:
        return
    with contextlib.suppress(OSError):
        for number in range(found.f_favail + 1):
            (ballast / f"i{number}").touch()
