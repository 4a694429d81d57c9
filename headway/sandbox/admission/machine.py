"""The state of the machine: memory, its pressure, disk. Cheap to ask: a few reads of the kernel's own figures."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from headway.system.disk import Disk, DiskBounds


@dataclass(frozen=True)
class MachineBounds:
    """Bounds at which the machine counts as short.

    Attributes:
        pressure: Percentage of the last 10 s in which something waited for memory.
        memory: Least part of memory that is free or can be freed at once.
        disk: The least free part of the disk.
    """

    pressure: float = 20.0
    memory: float = 0.05
    disk: DiskBounds = field(default_factory=DiskBounds)


@dataclass(frozen=True)
class Machine:
    """State of the machine at one look.

    Attributes:
        pressure: Memory pressure in per cent, "some avg10" of the kernel; None where the kernel tells none.
        memory: Part of memory that is free or can be freed.
        disk: That of the state folder.
        swap: Part of swap in use; None without swap.
    """

    pressure: float | None
    memory: float
    disk: Disk
    swap: float | None = None

    @classmethod
    def look(cls, home: Path) -> "Machine":
        """Measure the machine now; `home` tells which disk counts."""
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        return cls(
            pressure=_pressure(),
            memory=memory.available / memory.total,
            disk=Disk.of(home),
            swap=swap.percent / 100 if swap.total else None,
        )

    def short_of(self, bounds: MachineBounds) -> str | None:
        """The resource that a new command has to wait for: "memory", "disk" or "inodes"; None when it may start."""
        if self.pressure is not None and self.pressure > bounds.pressure:
            return "memory"
        if self.memory < bounds.memory:
            return "memory"
        return self.disk.short(bounds.disk)

    def full_for_agents(self, bounds: MachineBounds) -> str | None:
        """Reason why no new agent should start; None when one may."""
        return self.disk.short_for_agents(bounds.disk) or self.short_of(bounds)


def _pressure() -> float | None:
    with suppress(OSError, ValueError, IndexError):
        some = Path("/proc/pressure/memory").read_text(encoding="ascii").split("\n")[0]
        return float(some.split("avg10=")[1].split()[0])
    return None
