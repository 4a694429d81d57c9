"""A clock that no step of the wall clock moves, the same for all processes of this boot."""

import sys
import time

_CLOCK = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


def steady() -> float:
    """Seconds since boot, suspended time included. A stored one belongs to its boot: see `boot_id`."""
    return time.clock_gettime(_CLOCK)


def wall_of(moment: float) -> float:
    """A moment of `steady` by the wall clock as it stands now, for people: seconds since the epoch."""
    return time.time() + moment - steady()
