"""Measures how long a process has not answered. Load, disk waits and suspension do not count."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.system.process import look

_PROC = Path("/proc")
QUIET_S = 3.0
"""Silence after which the process's threads are looked at. A heartbeat may be that late on a healthy machine."""

_LONGEST_TICK_S = 2.0
"""The most that one look adds: a longer gap between two looks means that the machine or this process stood still."""


@dataclass(frozen=True)
class Threads:
    """All threads of a process at one moment.

    Attributes:
        states: Their state letters.
        delays_ns: By thread: how long it has been ready to run without a processor. Empty if the kernel keeps no count.
        cpu_s: Processor time that the process has used.
    """

    states: frozenset[str]
    delays_ns: Mapping[str, int]
    cpu_s: float


class Silence:
    """Counts the seconds in which a process gave no heartbeat although it could have.

    A second counts unless the process was held up. It is held up while a thread waits for a processor (any thread,
    because it may hold the interpreter's lock), and while a thread is in state D, in which it waits for a disk and even
    a kill has no effect.

    Attributes:
        counted_s: Those seconds since the last heartbeat.
        waits_for_disk: A thread was in D at the last look.
    """

    def __init__(self, now: float, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self.counted_s = 0.0
        self.waits_for_disk = False
        self._heard = self._at = now
        self._before: Threads | None = None

    def heard(self, now: float) -> None:
        """A heartbeat came."""
        self.counted_s, self.waits_for_disk, self._before = 0.0, False, None
        self._heard = self._at = now

    def is_due(self, now: float) -> bool:
        """Whether the silence has lasted long enough to look at the process."""
        return now - self._heard >= self._quiet_s

    def look(self, now: float, seen: Threads | None) -> None:
        """Count the time since the last look, by the state of the threads.

        `now` is by a monotonic clock, which stops while the machine sleeps.
        """
        passed, before = min(now - self._at, _LONGEST_TICK_S), self._before
        self._at, self._before = now, seen
        self.waits_for_disk = seen is not None and "D" in seen.states
        if seen is None or before is None or self.waits_for_disk:
            return
        self.counted_s += max(0.0, passed - _held_up(before, seen, passed))


def _held_up(before: Threads, seen: Threads, passed: float) -> float:
    """Seconds in which the process had work to do and no processor."""
    if seen.delays_ns:
        return max(delay - before.delays_ns.get(thread, 0) for thread, delay in seen.delays_ns.items()) / 1e9
    # The kernel keeps no count. A process that is stopped, or that used the processor, was not held up.
    at_it = bool({"T", "t"} & seen.states) or seen.cpu_s - before.cpu_s >= passed / 2
    return 0.0 if at_it else passed


def threads_of(pid: int) -> Threads | None:
    """The threads of a living process; None when it is gone."""
    whole = look(pid)
    if whole is None:
        return None
    states, delays = {whole.state}, {}
    tasks = _PROC / str(pid) / "task"
    for thread in [task.name for task in tasks.iterdir()] if tasks.exists() else ():
        # Missing: the thread just ended, or the kernel keeps no such file.
        with suppress(FileNotFoundError, ProcessLookupError):
            states.add((tasks / thread / "stat").read_bytes().rpartition(b")")[2].split()[0].decode())
            delays[thread] = int((tasks / thread / "schedstat").read_bytes().split()[1])
    return Threads(frozenset(states), delays, whole.cpu_s)
