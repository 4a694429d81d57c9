"""The processes that this one has started, wherever they went: orphans are adopted, and waited for at the end."""

import contextlib
import ctypes
import os
import signal
import time

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 0.02
_KILLED_WITHIN_S = 5.0


def adopt_orphans() -> bool:
    """Make orphans among this process's descendants its children. Returns False where the system has no such thing."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


def end_children(within_s: float) -> list[int]:
    """Wait for the end of all children, adopted ones included, and kill those that take too long.

    It reaps every child, so no other part of this process may wait for one any more.

    Args:
        within_s: Seconds that they have to end by themselves.

    Returns:
        Those that even a kill did not end.
    """
    until = time.monotonic() + within_s
    killed = False
    while _reap():
        now = time.monotonic()
        if now > until:
            left = psutil.Process().children(recursive=True)
            if killed:
                return [each.pid for each in left]
            for each in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
            killed, until = True, now + _KILLED_WITHIN_S
        time.sleep(_LOOK_EVERY_S)
    return []


def _reap() -> bool:
    """Take the exit codes of children that have ended. Returns whether there are others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
