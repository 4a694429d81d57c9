"""Tells whether a process has ended.

A process ends some time after the signal that kills it, and stays a zombie until its parent waits for it. So a test
that looks once, right after the kill, is red on a busy machine.
"""

import psutil

from tests.support.waiting import soon

WITHIN_S = 20.0


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not."""
    try:
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def gone(pid: int, within_s: float = WITHIN_S) -> bool:
    """Whether the process ends within that time."""
    return soon(lambda: not alive(pid), within_s)
