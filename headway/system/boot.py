"""Identity of the machine's boot, and the time since it. Setting the wall clock changes neither."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import psutil

from headway.system.steady import steady

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """Identity of this boot. A crash may have emptied files that an earlier boot wrote."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return asked.stdout.strip()
    return str(int(psutil.boot_time()))


def ticks_now() -> int:
    """Clock ticks since boot, suspended time included: the unit and the origin of a process's start."""
    return int(steady() * os.sysconf("SC_CLK_TCK"))
