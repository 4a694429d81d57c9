"""Disk space that the services keep for themselves: a file that is given up when commands have filled the disk."""

import os
from contextlib import suppress
from pathlib import Path

_MB = 1024 * 1024


class Reserve:
    """A file of the state folder that takes room, and gives it back at once when it is removed.

    Logs, the hub and Temporal's database can then still be written while whatever filled the disk is stopped and
    cleaned up. Several processes may share one.

    Args:
        home: The state folder.
        most_mb: Its size; less on a small disk.
    """

    def __init__(self, home: Path, most_mb: int = 256) -> None:
        self._file = home / "reserve"
        disk = os.statvfs(home)
        self.bytes = min(most_mb * _MB, disk.f_blocks * disk.f_frsize // 50)

    def keep(self) -> None:
        """Take the room, if the disk has four times as much free."""
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
        """Whether less is free than the reserve holds."""
        return self._free() < self.bytes

    def spend(self) -> None:
        """Give the room to whatever needs it."""
        self._file.unlink(missing_ok=True)

    def _free(self) -> int:
        disk = os.statvfs(self._file.parent)
        return disk.f_bavail * disk.f_frsize
