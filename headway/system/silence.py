"""Measures how long a process has not answered. Load, disk waits and suspension do not count."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.system.process import look

_PROC = Path("/proc")
QUIET_S = 3.0
"""Silence after which the process's threads are looked at. A heartbeat may be that late on a healthy machine."""

_OF_A_START = 0.1
"""The part of a processor second that counts in a process that starts: a slow machine imports modules for minutes."""

_LONGEST_TICK_S = 2.0
"""The most that one look adds: a longer gap between two looks means that the machine or this process stood still."""

_LOOK_EVERY_S = 1.0


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
    a kill has no effect. Before its first heartbeat a process starts: a tenth of the time in which it computes counts.

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
        self._starts = True

    def heard(self, now: float) -> None:
        """A heartbeat came."""
        self._starts = False
        self.counted_s, self.waits_for_disk, self._before = 0.0, False, None
        self._heard = self._at = now

    def is_due(self, now: float) -> bool:
        """True if the silence has lasted long enough to look at the process."""
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
        held_up = _held_up(before, seen, passed)
        if self._starts:
            held_up += (1 - _OF_A_START) * (seen.cpu_s - before.cpu_s)
        self.counted_s += max(0.0, passed - held_up)


class Patience:
    """Waits for processes that start, such as for a server to answer, until they have been silent for `limit_s`.

    The time counts as in `Silence`. Of several processes, the one for which the least time counts decides. While there
    is no process, all time counts.

    Args:
        limit_s: Seconds that may count.
        now: By a monotonic clock.
        processes: Process ids of those that live.
    """

    def __init__(self, limit_s: float, now: float, processes: Callable[[], Iterable[int]]) -> None:
        self._limit_s = limit_s
        self._processes = processes
        self.heard(now)

    def heard(self, now: float) -> None:
        """The processes show that they go on: the time counts from now."""
        self._since = self._looked = now
        self._silences: dict[int, Silence] = {}
        self._over = False

    def is_over(self, now: float) -> bool:
        """True if the time is up. Looks at the processes, at most once a second."""
        if now - self._looked >= min(_LOOK_EVERY_S, self._limit_s / 4):
            self._looked = now
            counted = [self._look(pid, now) for pid in self._processes()]
            self._over = min(counted, default=now - self._since) >= self._limit_s
        return self._over

    def _look(self, pid: int, now: float) -> float:
        silence = self._silences.setdefault(pid, Silence(self._since))
        seen = None
        with suppress(OSError):  # the system is short of descriptors now
            seen = threads_of(pid)
        silence.look(now, seen)
        return silence.counted_s


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
