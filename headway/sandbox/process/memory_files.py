"""Files in memory of a command's processes: those in its /dev/shm and /run, and memfds that its processes hold.

They need not be mapped, so the sizes of processes leave them out. A part that is mapped counts once.
"""

import contextlib
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_FOLDERS = ("/dev/shm", "/run")  # noqa: S108  # looked at, not written
_MEMFD = "/memfd:"
_HEADER_FIELDS = 5
"""Address, permissions, offset, device and inode: how each mapping begins in `maps` and `smaps`."""


def unmapped_kb(pids: Iterable[int]) -> int:
    """Size of the files in memory that these processes hold, without the parts that they map.

    Each file counts once for all its holders. A memfd that only a message on its way through a socket
    holds, or only a thread with descriptors of its own, is not found.
    """
    every = tuple(pids)
    whole = _folders(every)
    single = {file: kb for pid in every for file, kb in _memfds(pid).items()}
    if not any(whole.values()) and not single:
        return 0
    mapped = sum(_mapped_kb(pid, whole.keys(), single.keys()) for pid in every)
    return max(0, sum(whole.values()) + sum(single.values()) - mapped)


def _folders(pids: Iterable[int]) -> dict[int, int]:
    """Kilobytes in the folders above, by device, but for those of this process's own namespace."""
    ours = {_device(place) for place in _FOLDERS}
    used: dict[int, int] = {}
    for pid in pids:
        for place in _FOLDERS:
            with contextlib.suppress(OSError):
                inside = Path(f"{_PROC}/{pid}/root{place}")
                device = inside.stat().st_dev
                if device not in ours and device not in used:
                    disk = os.statvfs(inside)
                    used[device] = (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024
    return used


def _memfds(pid: int) -> dict[tuple[int, int], int]:
    """Kilobytes of each memfd that a process has open, by device and inode."""
    found = {}
    with contextlib.suppress(OSError), os.scandir(_PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                # The link first: to stat a file of a network that hangs would hang.
                if os.readlink(entry.path).startswith(_MEMFD):  # noqa: PTH115
                    status = entry.stat()
                    if status.st_dev == _memfd_device():
                        found[status.st_dev, status.st_ino] = status.st_blocks // 2
    return found


def _mapped_kb(pid: int, devices: Iterable[int], files: Iterable[tuple[int, int]]) -> int:
    """A process's proportional share of the mapped parts of files; 0 at once for one that maps none of them."""
    whole, single = set(devices), set(files)

    def is_one(header: list[bytes]) -> bool:
        major, _, minor = header[3].partition(b":")
        device = os.makedev(int(major, 16), int(minor, 16))
        return device in whole or (device, int(header[4])) in single

    try:
        maps = (_PROC / str(pid) / "maps").read_bytes()
        if not any(is_one(line.split(None, _HEADER_FIELDS)) for line in maps.splitlines()):
            return 0
        share, counts = 0, False
        for line in (_PROC / str(pid) / "smaps").read_bytes().splitlines():
            parts = line.split(None, _HEADER_FIELDS)
            if not parts[0].endswith(b":"):
                counts = is_one(parts)
            elif counts and parts[0] == b"Pss:":
                share += int(parts[1])
    except OSError:
        return 0
    return share


@cache
def _memfd_device() -> int:
    """The device that all memfds of the machine are on."""
    if sys.platform != "linux":
        return -1
    fd = os.memfd_create("headway-probe")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def _device(place: str) -> int | None:
    try:
        return Path(place).stat().st_dev
    except OSError:
        return None
