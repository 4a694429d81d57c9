"""The most memory that this process ever used."""

import re
from pathlib import Path


def own_peak_mb() -> int:
    """In megabytes, since it became this program.

    `ru_maxrss` would not do: a process takes it over from the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) >> 10
