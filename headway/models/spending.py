"""The spending of runs by the hour on this machine, and the wait of an agent for room under the limit.

A call is set aside at its worst case before it leaves and booked at its price when it is answered.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headway.domain.errors import Parked
from headway.domain.ids import RunName
from headway.domain.model_outage import ModelOutage, clock_words
from headway.domain.progress import Progress
from headway.models.circuit_breaker import BEAT_EVERY_S, PATIENCE_S
from headway.models.spending_ledger import HOUR_S, Aside, SpendingLedger, words_of
from headway.system.cache import BoundedCache
from headway.system.steady import steady, wall_of

LEDGERS_KEPT = 32
"""Ledgers that a process keeps open while no call uses them: three descriptors each."""


class Spending:
    """The ledgers of one process.

    Args:
        folder: The folder of all runs. The spending of a run lies in its own folder, and goes with it.
        patience_s: Seconds that an agent waits before it gives up its slot.
        hour_s: Length of an hour in seconds, for tests.
        clock: Seconds by a clock that is never set.
        wall: Makes a moment of it a time of the wall clock, for people.
    """

    def __init__(
        self,
        folder: Path,
        *,
        patience_s: float = PATIENCE_S,
        hour_s: float = HOUR_S,
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = wall_of,
    ) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._hour_s = hour_s
        self._clock = clock
        self._wall = wall
        self._ledgers: BoundedCache[RunName, SpendingLedger] = BoundedCache(LEDGERS_KEPT, close=SpendingLedger.close)

    def ledger(self, run: RunName) -> AbstractContextManager[SpendingLedger]:
        """The ledger of a run for as long as the block runs; a new one where the run was removed and begun again.

        To be entered in the thread that uses it: a thread outlives the cancellation of its caller.
        """
        make = partial(SpendingLedger, self._path(run), self._hour_s)
        return self._ledgers.using(run, make, is_valid=lambda ledger: ledger.is_there)

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        """State of a run that spent something on this machine."""
        if not self._path(run).exists():
            return ()
        with self.ledger(run) as ledger:
            parking = ledger.parking(self._wall)
        return () if parking is None else (parking,)

    def forget(self, run: RunName) -> None:
        """Close a run's file, at the end of its last use."""
        self._ledgers.drop(run)

    def close(self) -> None:
        """Close the files."""
        self._ledgers.close()

    def settle(self, run: RunName, aside: Aside, paid: int) -> None:
        """Book the cost of a call."""
        with self.ledger(run) as ledger:
            ledger.settle(aside, paid, self._clock())

    def _path(self, run: RunName) -> Path:
        return self._folder / run / "spending.db"

    def _set_aside(self, run: RunName, amount: int, limit: int, now: float) -> Aside | float:
        with self.ledger(run) as ledger:
            return ledger.set_aside(amount, limit, now)

    def _park(self, run: RunName, until: float, limit: int, now: float) -> None:
        with self.ledger(run) as ledger:
            ledger.park(until, limit, now)

    async def room(self, run: RunName, amount: int, limit: int, progress: Progress) -> Aside:
        """Set aside the worst case of a call; waits until there is room for it.

        Raises:
            Parked: It would take longer than an agent should hold its slot for.
            HeldBack: By the beat.
        """
        began = self._clock()
        while True:
            now = self._clock()
            found = await asyncio.to_thread(self._set_aside, run, amount, limit, now)
            if isinstance(found, Aside):
                return found
            progress(f"{words_of(limit)}: waits until {clock_words(self._wall(found))}")
            if max(found - now, now - began) > self._patience_s:
                until = max(found, now + self._patience_s)
                await asyncio.to_thread(self._park, run, until, limit, now)
                raise Parked(f"{words_of(limit)}, goes on at {clock_words(self._wall(until))}", until - now)
            await asyncio.sleep(BEAT_EVERY_S * self._hour_s / HOUR_S)


@dataclass(frozen=True)
class Hourly:
    """The limit on a run's spending in an hour on this machine, in micro-dollars."""

    spending: Spending
    limit: int

    @asynccontextmanager
    async def spent_by(self, run: RunName, worst: int, progress: Progress) -> AsyncIterator["Bought"]:
        """Make one call within; its cost is `Bought.cost`, which is the worst case unless it is set.

        Raises:
            Parked: The wait is longer than an agent should hold its slot.
            HeldBack: Raised by `progress`.
        """
        aside = await self.spending.room(run, worst, self.limit, progress)
        bought = Bought(worst)
        try:
            yield bought
        finally:
            self.spending.settle(run, aside, bought.cost)


@dataclass
class Bought:
    """The cost of a call, in micro-dollars."""

    cost: int
