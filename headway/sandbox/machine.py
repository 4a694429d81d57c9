"""How the machine stands: memory, its pressure, disk. Cheap to ask: a few reads of the kernel's own figures."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_GB = 1024**3


@dataclass(frozen=True)
class Bounds:
    """From where on the machine counts as short.

    Attributes:
        pressure: Share of time, in per cent over 10 s, in which something waited for memory.
        memory: Least part of memory that is free or can be freed at once.
        disk: Least free part of the disk for new commands; `disk_bytes` where that is less.
        busy_disk: Part of the disk in use from which on no new agent starts.
    """

    pressure: float = 20.0
    memory: float = 0.05
    disk: float = 0.10
    disk_bytes: int = 5 * _GB
    busy_disk: float = 0.85


@dataclass(frozen=True)
class Machine:
    """One look at it.

    Attributes:
        pressure: Memory pressure, "some avg10" of the kernel; None where it tells none.
        memory: Part of memory that is free or can be freed.
        disk: Part of the disk of the state folder that is free for us.
        disk_bytes: The same, in bytes.
        swap: Part of swap in use; None without swap.
    """

    pressure: float | None
    memory: float
    disk: float
    disk_bytes: int
    swap: float | None = None

    @classmethod
    def look(cls, home: Path) -> "Machine":
        """How it stands now; `home` tells which disk counts."""
        memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), os.statvfs(home)
        free = disk.f_bavail * disk.f_frsize
        usable = (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize
        return cls(
            pressure=_pressure(),
            memory=memory.available / memory.total,
            disk=free / usable if usable else 1.0,
            disk_bytes=free,
            swap=swap.percent / 100 if swap.total else None,
        )

    def short_of(self, bounds: Bounds) -> str | None:
        """What a new command has to wait for; None when it may start."""
        if self.pressure is not None and self.pressure > bounds.pressure:
            return "memory"
        if self.memory < bounds.memory:
            return "memory"
        if self.disk < bounds.disk and self.disk_bytes < bounds.disk_bytes:
            return "disk"
        return None

    def full_for_agents(self, bounds: Bounds) -> str | None:
        """Why no new agent should start; None when one may."""
        if self.disk < 1 - bounds.busy_disk and self.disk_bytes < 4 * bounds.disk_bytes:
            return "disk"
        return self.short_of(bounds)


def _pressure() -> float | None:
    with suppress(OSError, ValueError, IndexError):
        some = Path("/proc/pressure/memory").read_text(encoding="ascii").split("\n")[0]
        return float(some.split("avg10=")[1].split()[0])
    return None
