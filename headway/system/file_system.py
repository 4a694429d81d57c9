"""The kind of file system that a folder lies on."""

from contextlib import suppress
from pathlib import Path

import psutil


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` lies on, such as `ext4`; empty where it cannot be told."""
    kind, longest = "", 0
    with suppress(OSError):
        real = folder.resolve()
        for mount in psutil.disk_partitions(all=True):
            # The last one of several at the same place hides the others.
            if len(mount.mountpoint) >= longest and real.is_relative_to(mount.mountpoint):
                kind, longest = mount.fstype, len(mount.mountpoint)
    return kind
