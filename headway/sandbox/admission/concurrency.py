"""Concurrency of a machine: the configured number of agents, fewer while the machine is short of memory or disk."""

import time
from collections.abc import Callable
from math import ceil
from pathlib import Path

from headway.sandbox.admission.machine import Machine, MachineBounds

STEP_EVERY_S = 5.0
"""Seconds between two changes of the number. It sinks by half and rises by an eighth of the configured number."""


class Concurrency:
    """Counts for one process.

    Args:
        most: Agents at work when nothing is short.
        home: Tells which disk counts.
    """

    def __init__(
        self,
        most: int,
        home: Path,
        *,
        look: Callable[[Path], Machine] = Machine.look,
        bounds: MachineBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._home = home
        self._look = look
        self._bounds = bounds or MachineBounds()
        self._clock = clock
        self._now = most
        self._stepped = clock() - STEP_EVERY_S

    def allowed(self) -> int:
        """Number of agents that may run now (>= 1). A lower number delays new agents and stops no running one."""
        if self._clock() - self._stepped >= STEP_EVERY_S:
            self._stepped = self._clock()
            if self._look(self._home).full_for_agents(self._bounds):
                self._now = max(1, self._now // 2)
            else:
                self._now = min(self._most, self._now + ceil(self._most / 8))
        return self._now
