"""Watches one running child: hears its heartbeat, counts its silence, and bounds its log."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headway.host.child_event import ChildEvent
from headway.host.child_process import Started, keep_small
from headway.system.heartbeat import AT_WORK
from headway.system.silence import QUIET_S, Silence, Threads, threads_of


@dataclass(frozen=True)
class Timing:
    """Times of a supervisor, in seconds.

    Attributes:
        first_wait_s: Wait before the first restart; it doubles with each further one.
        longest_wait_s: The longest wait before a restart.
        healthy_s: Life time after which a child counts as working. Its next restart waits `first_wait_s` again.
        silent_s: Silence, in which it could have answered, after which a child with a heartbeat is killed.
        quiet_s: Silence after which a child's threads are looked at.
        look_s: Time between two looks at a silent child.
        log_s: Time between two looks at the size of a child's log.
    """

    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    healthy_s: float = 60.0
    silent_s: float = 30.0
    quiet_s: float = QUIET_S
    look_s: float = 1.0
    log_s: float = 10.0


class ChildWatch:
    """A supervisor's look at one child, from its start to its end. A child that does not answer is killed.

    Args:
        started: The child's process.
        timing: The times of its supervisor.
        log: The file of its output.
        log_bytes: Size up to which it grows before it is set aside.
        tell: Called when the child is silent, or waits for a disk.

    Attributes:
        has_worked: Its heartbeat has said that it does its work.
    """

    def __init__(
        self, started: Started, timing: Timing, log: Path, log_bytes: int, tell: Callable[[ChildEvent], None]
    ) -> None:
        self.has_worked = False
        self._started = started
        self._timing = timing
        self._log = log
        self._log_bytes = log_bytes
        self._tell = tell
        self._measured = time.monotonic()
        self._looked = 0.0
        self._disk_told = False
        self._silence = Silence(self._measured, timing.quiet_s)

    def look(self) -> None:
        """Take in what happened since the last look."""
        now = time.monotonic()
        if now - self._measured >= self._timing.log_s:
            self._measured = now
            keep_small(self._log, self._log_bytes)
        if said := self._started.heard():
            self._silence.heard(now)
            self._disk_told = False
            self.has_worked = self.has_worked or AT_WORK in said
        if self._started.child.heartbeat and self._silence.is_due(now) and now - self._looked >= self._timing.look_s:
            self._looked = now
            self._look_at_silent(now)

    def _look_at_silent(self, now: float) -> None:
        name, pid = self._started.child.name, self._started.pid
        self._silence.look(now, _seen(pid))
        if self._silence.waits_for_disk and not self._disk_told:
            self._disk_told = True
            self._tell(ChildEvent(name, "waits for a disk", pid))
        if self._silence.counted_s >= self._timing.silent_s:
            self._tell(ChildEvent(name, "silent", pid))
            self._started.signal(signal.SIGKILL)
            self._silence.heard(now)


def _seen(pid: int) -> Threads | None:
    """The threads of a child; None when the system cannot tell now, such as for lack of descriptors."""
    try:
        return threads_of(pid)
    except OSError:
        return None
