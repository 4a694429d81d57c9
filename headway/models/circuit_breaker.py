"""The circuit breaker of one model: each call of each agent of this machine passes it, and waits while it is open."""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import Parked, TransientError
from headway.domain.ids import RunName
from headway.domain.model_outage import MAX_WHY_CHARS, ModelOutage
from headway.domain.progress import Progress
from headway.models.breaker_state import BreakerState
from headway.models.breaker_store import BreakerStore, path_of
from headway.models.failures import Failing, Refused
from headway.system.cache import BoundedCache
from headway.system.steady import steady, wall_of

PATIENCE_S = 300.0
"""An agent that would wait longer than this gives up its slot."""
GATES_KEPT = 8
"""Breakers that a process keeps while no agent at work here uses their models: six descriptors each."""
LOOK_EVERY_S = 0.2
BEAT_EVERY_S = 1.0
FAILING_CALLS = 5
FAILING_S = 10.0
"""A server that fails so many calls in a row, over so many seconds, is not asked by every agent any more. One that
fails for a moment is."""
FAILING_REMEDY = "It answers with errors of its own: look at its log. Agents go on once it answers a call."
LONGEST_PAUSE_S = 900.0
"""An agent that gave up its slot because the waits went on and on comes back at the latest after this."""

ASKS = "asks the model"
"""Told to a beat when a wait is over."""


@dataclass(slots=True)
class Permit:
    """Leave for one call. `generation` tells the worth of its outcome; a `probe` leaves before the way is open."""

    generation: int
    handle: int | None = None
    probe: bool = False


class CircuitBreaker:
    """The way to one model as this process sees it.

    Args:
        address: Without credentials, for people.
        patience_s: Longest wait of an agent here, in seconds; see `PATIENCE_S`.
        pace: Shortens every wait of the table, for tests.

    Attributes:
        runs: Runs that call this model here.
    """

    def __init__(
        self, file: BreakerStore, address: str, model: str, *, patience_s: float = PATIENCE_S, pace: float = 1.0
    ) -> None:
        self.file = file
        self.address = address
        self.model = model
        self._patience_s = patience_s
        self._pace = pace
        self._queue: deque[asyncio.Event] = deque()
        self.runs: set[RunName] = set()
        self._failures = 0
        self._failing_since = 0.0

    @asynccontextmanager
    async def permit(self, progress: Progress) -> AsyncIterator[Permit]:
        """Leave to make one call; waits for it, and tells the beat `ASKS` when a wait is over.

        Raises:
            Parked: It would take longer than an agent should hold its slot for.
            HeldBack: By the beat.
        """
        flow = self.file.state()
        waits = not flow.free or bool(self._queue)
        permit = await self._wait(progress) if waits else Permit(flow.generation)
        try:
            if waits:
                progress(ASKS)
            yield permit
        finally:
            if permit.handle is not None:
                os.close(permit.handle)
                self._next()

    async def refused(self, permit: Permit, refusal: Refused) -> None:
        """The call was refused: the whole machine waits."""
        now, why = steady(), refusal.why[:MAX_WHY_CHARS]

        def step(flow: BreakerState) -> BreakerState:
            return flow.refused(
                permit.generation,
                refusal.kind,
                refusal.reset_s,
                why,
                refusal.remedy,
                now,
                pace=self._pace,
                probe=permit.probe,
            )

        await asyncio.to_thread(self.file.change, step)

    async def failed(self, permit: Permit, error: TransientError) -> None:
        """The call got no answer. A server that fails call after call is asked ever more rarely."""
        flow = self.file.state()
        if isinstance(error, Failing) and (self._fails() or (flow.closed and flow.kind == "failing")):
            await self.refused(permit, Refused("failing", str(error), FAILING_REMEDY, error.delay_s))
        elif flow.closed:
            now = steady()
            await asyncio.to_thread(self.file.change, lambda flow: flow.failed(permit.generation, now, self._pace))

    def _fails(self) -> bool:
        """Count a failure, and tell whether it is the last of many."""
        now = steady()
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        return self._failures >= FAILING_CALLS and now - self._failing_since >= FAILING_S * self._pace

    async def answered(self, permit: Permit) -> None:
        """The server answered, with any content."""
        self._failures = 0
        # A call that left while nothing was counted has no handle, and a refusal since then knows more than its answer.
        if permit.handle is not None and not self.file.state().free:
            now = steady()
            await asyncio.to_thread(self.file.change, lambda flow: flow.answered(permit.generation, now))

    def parking(self) -> ModelOutage:
        """State of the way, for people."""
        return outage_of(self.address, self.model, self.file.state())

    async def _wait(self, progress: Progress) -> Permit:
        me = asyncio.Event()
        self._queue.append(me)
        beaten = 0.0
        try:
            while True:
                permit = self._try(me)
                if permit is not None:
                    return permit
                if time.monotonic() - beaten >= BEAT_EVERY_S:
                    beaten = time.monotonic()
                    progress(self._words())
                me.clear()
                first = self._queue[0] is me
                try:
                    async with asyncio.timeout(min(LOOK_EVERY_S * self._pace, LOOK_EVERY_S) if first else BEAT_EVERY_S):
                        await me.wait()
                except TimeoutError:
                    continue
        finally:
            self._queue.remove(me)
            self._next()

    def _try(self, me: asyncio.Event) -> Permit | None:
        now, flow = steady(), self.file.state()
        self._give_up_if_long(flow, now)
        if flow.free:
            return Permit(flow.generation)
        count = flow.permits(now, self._pace)
        if self._queue[0] is not me or count < 1:
            return None
        handle = self.file.take(count)
        if handle is None:
            return None
        if self.file.state().generation != flow.generation:
            os.close(handle)  # closed by another process meanwhile
            return None
        return Permit(flow.generation, handle, probe=flow.closed)

    def _give_up_if_long(self, flow: BreakerState, now: float) -> None:
        left, lasted = flow.until - now, now - flow.since
        if not flow.closed or left <= 0:
            return
        until = flow.until
        if left <= self._patience_s:
            if lasted <= self._patience_s:
                return
            # It was refused again and again, with short waits: the longer it lasts, the rarer it is looked at.
            until = max(until, now + min(lasted, LONGEST_PAUSE_S))
        raise Parked(f"{self._words()}\n{flow.remedy}".strip(), until - now)

    def _next(self) -> None:
        if self._queue:
            self._queue[0].set()

    def _words(self) -> str:
        flow = self.file.state()
        if not flow.closed:
            return f"waits for its turn at model {self.model}"
        clock = time.strftime("%H:%M:%S", time.localtime(wall_of(flow.until)))
        return f"parked until {clock}, model {self.model}: {flow.why}"


class CircuitBreakers:
    """The circuit breakers of one process, which share their state with all processes of this machine.

    Args:
        folder: Folder of this machine's files.
    """

    def __init__(self, folder: Path, *, patience_s: float = PATIENCE_S, pace: float = 1.0) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._pace = pace
        self._gates: BoundedCache[tuple[str, str, str], CircuitBreaker] = BoundedCache(
            GATES_KEPT, close=lambda gate: gate.file.close(), is_busy=lambda gate: bool(gate.runs)
        )

    def using(self, address: str, model: str, account: str) -> AbstractContextManager[CircuitBreaker]:
        """The breaker of a model, for as long as the block runs. `account` is the key, or empty."""

        def make() -> CircuitBreaker:
            file = BreakerStore(self._folder, address, model, account)
            return CircuitBreaker(file, address, model, patience_s=self._patience_s, pace=self._pace)

        return self._gates.using((address, model, account), make)

    def knows(self, address: str, model: str, account: str) -> bool:
        """True if a model was asked on this machine. Only the first call makes its file."""
        return path_of(self._folder, address, model, account).exists()

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        """The state of every breaker that this run has used here and that has ever opened."""
        found = (gate.parking() for gate in self._gates.values() if run in gate.runs)
        return tuple(parking for parking in found if parking.generation)

    def forget(self, run: RunName) -> None:
        """No agent of a run is at work here any more."""
        for gate in self._gates.values():
            gate.runs.discard(run)
        self._gates.trim()

    def close(self) -> None:
        """Let go of the files."""
        self._gates.close()


def outage_of(address: str, model: str, flow: BreakerState) -> ModelOutage:
    """A breaker's state in words for people, its times by the wall clock."""
    return ModelOutage(
        endpoint=address,
        model=model,
        generation=flow.generation,
        parked=flow.closed,
        since=wall_of(flow.since),
        until=wall_of(flow.until),
        why=flow.why,
        remedy=flow.remedy,
    )
