"""Disk space that the services keep for themselves: a file that is given up when commands have filled the disk."""

import os
from contextlib import suppress
from pathlib import Path

_MB = 1024 * 1024


class Reserve:
    """A file of the state folder that occupies disk space. Deleting it frees the space at once.

    After that logs, the hub and Temporal's database can still be written while the command that filled the disk is
    stopped and its files are removed. Several processes may share one reserve.

    Args:
        home: The state folder.
        most_mb: Its size in megabytes; at most 2 % of the disk.
    """

    def __init__(self, home: Path, most_mb: int = 256) -> None:
        self._file = home / "reserve"
        disk = os.statvfs(home)
        self.bytes = min(most_mb * _MB, disk.f_blocks * disk.f_frsize // 50)

    def keep(self) -> None:
        """Make the file, if the disk has four times its size free."""
        if self._file.exists() or self._free() < 4 * self.bytes:
            return
        made = self._file.with_name(f".reserve.{os.getpid()}")
        with suppress(OSError):  # the next call tries again
            fd = os.open(made, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(fd, 0, self.bytes)
                made.replace(self._file)
            finally:
                os.close(fd)
                made.unlink(missing_ok=True)

    def is_needed(self) -> bool:
        """True if less space is free than the reserve occupies."""
        return self._free() < self.bytes

    def spend(self) -> None:
        """Delete the file, which frees its space."""
        self._file.unlink(missing_ok=True)

    def _free(self) -> int:
        disk = os.statvfs(self._file.parent)
        return disk.f_bavail * disk.f_frsize
