"""A bar in seconds on a machine that is shared: the time that other programs took of its processors does not count."""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

_HERTZ = os.sysconf("SC_CLK_TCK")
_NOT_WORK = (3, 4)
"""The columns of /proc/stat for a processor that has nothing to do, or waits for a disk."""


class Stopwatch:
    """Counts the seconds from now on, less those that the processors spent on what is not below this process."""

    def __init__(self) -> None:
        self._began = (time.monotonic(), _of_all(), _own())

    def seconds(self) -> float:
        """The seconds so far."""
        began, of_all, own = self._began
        others = (_of_all() - of_all) - (_own() - own)
        return time.monotonic() - began - max(0.0, others) / (os.cpu_count() or 1)


def _of_all() -> float:
    """Seconds that the processors of this machine have worked since it was started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    return sum(int(each) for column, each in enumerate(fields) if column not in _NOT_WORK) / _HERTZ


def _own() -> float:
    """Those of them for this process and everything below it, also what has ended and was waited for."""
    total, me = 0.0, psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total
