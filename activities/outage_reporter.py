"""Tells runs that a model refuses their agents, why and until when, and when it answers again."""

import time
from collections.abc import Callable
from typing import Protocol

from headway.domain.ids import RunName
from headway.domain.model_outage import ModelOutage

WORTH_TELLING_S = 30.0
"""A shorter wait is over before its user has read of it, and each signal is an event of the run's history."""


class CircuitBreakers(Protocol):
    """The ways to the models that this process has used, and the refusals that keep a run from them."""

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        """The parkings of models that the run uses here."""
        ...

    def forget(self, run: RunName) -> None:
        """No agent of the run is at work here any more."""
        ...


class Line(Protocol):
    """The way to a run."""

    async def parkings(self, run: RunName) -> tuple[ModelOutage, ...] | None:
        """The parkings that the run knows already; None when no worker process answers now."""
        ...

    async def tell_parking(self, run: RunName, parking: ModelOutage) -> bool:
        """Signal it; False when that failed."""
        ...


class OutageReporter:
    """The parkings that each run was told. One per process."""

    def __init__(self, gates: CircuitBreakers, line: Line, clock: Callable[[], float] = time.time) -> None:
        self._gates = gates
        self._line = line
        self._clock = clock
        self._told: dict[RunName, dict[tuple[str, str], ModelOutage]] = {}

    async def tell(self, run: RunName) -> None:
        """Tell the run the parkings that it does not know, if they last long enough."""
        news = self._gates.parkings(run)
        if not news:
            return
        if run not in self._told:
            # An earlier process may have told it of a parking that this one finds over.
            known = await self._line.parkings(run)
            if known is None:
                return
            self._told[run] = {parking.place: parking for parking in known}
        told = self._told[run]
        for parking in news:
            if self._is_due(parking, told.get(parking.place)) and await self._line.tell_parking(run, parking):
                told[parking.place] = parking

    def forget(self, run: RunName) -> None:
        """Forget a run's parkings once none of its agents works here: another run may have its name later."""
        self._told.pop(run, None)
        self._gates.forget(run)

    def _is_due(self, parking: ModelOutage, known: ModelOutage | None) -> bool:
        if known is not None and not parking.follows(known):
            return False
        if not parking.parked:
            return known is not None and known.parked
        now = self._clock()
        return now - parking.since >= WORTH_TELLING_S or parking.until - now >= WORTH_TELLING_S
