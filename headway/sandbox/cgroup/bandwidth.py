"""A limit on the speed at which one agent reads and writes a disk, where the kernel has a controller for it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MB = 1024 * 1024


@dataclass(frozen=True)
class Bandwidth:
    """A limit for each agent, for reading and for writing alike.

    Version 1 bounds reads, and writes that pass the file cache or wait for the disk. Version 2 also bounds writes that
    the kernel delays.

    Attributes:
        disk: Major and minor number, as the kernel's files have them.
        mb_per_s: Megabytes a second.
    """

    disk: str
    mb_per_s: int

    @classmethod
    def of(cls, folder: Path, mb_per_s: int) -> "Bandwidth | None":
        """A limit on the disk that a folder lies on; None where it lies on none, such as in memory."""
        device = folder.stat().st_dev
        place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if not place.exists():
            return None
        real = place.resolve()
        if (real / "partition").exists():  # the kernel limits whole disks only
            real = real.parent
        with suppress(OSError):
            return cls((real / "dev").read_text(encoding="ascii").strip(), mb_per_s)
        return None

    def files(self, *, v2: bool) -> dict[str, str]:
        """The text for each file of a group, by the file's name."""
        rate = self.mb_per_s * _MB
        if v2:
            return {"io.max": f"{self.disk} rbps={rate} wbps={rate}"}
        names = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")
        return dict.fromkeys(names, f"{self.disk} {rate}")
