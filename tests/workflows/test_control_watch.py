"""Orders reach the agents of a process whatever a read of the record, or the telling of parkings, runs into."""

import asyncio
from dataclasses import dataclass, field

import pytest

from activities.control import ControlWatch
from activities.outage_reporter import OutageReporter
from headway.domain.errors import Parked, TransientError
from headway.domain.ids import AgentId, RunName
from headway.domain.messages import WorkerSuspended
from headway.domain.model_outage import ModelOutage
from headway.domain.progress import Progress
from headway.domain.state.control import Control, Hold
from tests.support.loops import Loops

RUN, AGENT = RunName("r"), AgentId("r/root-1/1.0-2")
PAUSED = Control(version=1, paused={AgentId("r"): Hold(who="", why="lunch", at=0.0)})
SUSPENDED = WorkerSuspended(why="held")
FAULTS = [TransientError("the file cannot be read"), OSError(116, "Stale file handle"), ValueError("not JSON")]
PLACES = ["control", "gates", "parkings", "tell_parking"]
NEWS = ModelOutage(endpoint="http://here/v1", model="m", generation=1, parked=True, since=0.0, until=2e9)


@dataclass
class World:
    """A run, and the gates of this process; `faults` are raised, one at each call of their place."""

    record: Control = field(default_factory=Control)
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    told: list[ModelOutage] = field(default_factory=list)
    known: tuple[ModelOutage, ...] = ()
    ended: bool = False
    cancelled: list[AgentId] = field(default_factory=list)

    def _fail(self, place: str) -> None:
        if self.faults.get(place):
            raise self.faults[place].pop()

    async def control(self, run: RunName) -> Control | None:
        self._fail("control")
        return None if self.ended else self.record

    async def has_ended(self, run: RunName) -> bool:
        return self.ended

    async def cancel(self, agent: AgentId) -> None:
        self.cancelled.append(agent)

    def gates(self, run: RunName) -> tuple[ModelOutage, ...]:
        self._fail("gates")
        return (NEWS,)

    async def parkings(self, run: RunName) -> tuple[ModelOutage, ...] | None:
        self._fail("parkings")
        return self.known

    async def tell_parking(self, run: RunName, parking: ModelOutage) -> bool:
        self._fail("tell_parking")
        self.told.append(parking)
        return True

    def watch(self) -> ControlWatch:
        return ControlWatch(self, OutageReporter(_Gates(self), self, lambda: 1e9), every_s=0.01)


@dataclass
class _Gates:
    world: World

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        return self.world.gates(run)

    def forget(self, run: RunName) -> None:
        """Nothing is kept."""


async def steps(step: Progress) -> WorkerSuspended:
    """A worker that works until it is stopped."""
    while True:
        step("works")
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("place", PLACES)
async def test_a_pause_reaches_an_agent_after_any_failed_read(place: str, fault: Exception) -> None:
    world = World(faults={place: [fault, fault]})
    work = asyncio.ensure_future(world.watch().held_to(AGENT, lambda _: None, steps, SUSPENDED))
    async with asyncio.timeout(10):
        while world.faults[place]:  # noqa: ASYNC110 - told by the world
            await asyncio.sleep(0.005)
    assert not work.done(), "a failed read stops nobody"
    world.record = PAUSED
    found = await asyncio.wait_for(work, 10)
    assert found.why == "held"


async def test_changed_limits_are_told_apart_from_a_hold() -> None:
    world = World()
    work = asyncio.ensure_future(world.watch().held_to(AGENT, lambda _: None, steps, SUSPENDED))
    world.record = Control(version=2, renewed=1)
    found = await asyncio.wait_for(work, 10)
    assert (found.why, found.control) == ("renewed", world.record)


async def test_a_failed_telling_does_not_replace_the_park() -> None:
    async def refused(step: Progress) -> WorkerSuspended:
        raise Parked("closed", 900)

    world = World(faults={"gates": [FAULTS[0]]})
    with pytest.raises(Parked):
        await world.watch().held_to(AGENT, lambda _: None, refused, SUSPENDED)


async def test_a_run_of_the_same_name_is_told_again() -> None:
    async def done(step: Progress) -> WorkerSuspended:
        await asyncio.sleep(0.05)
        return SUSPENDED

    world = World()
    watch = world.watch()
    for told in (1, 2):
        await watch.held_to(AGENT, lambda _: None, done, SUSPENDED)
        assert len(world.told) == told


@pytest.mark.parametrize("deaf", [False, True], ids=["at a step", "in a command"])
async def test_the_end_of_a_run_ends_its_agents(deaf: bool) -> None:
    async def command(step: Progress) -> WorkerSuspended:
        await asyncio.sleep(600)
        return SUSPENDED

    world = World()
    work = asyncio.ensure_future(world.watch().held_to(AGENT, lambda _: None, command if deaf else steps, SUSPENDED))
    await asyncio.sleep(0.1)
    assert not work.done()
    world.ended = True
    await asyncio.wait_for(work, 10)
    assert world.cancelled == [AGENT]


async def test_an_error_in_the_clean_up_of_a_cancelled_agent_is_not_reported_to_the_loop() -> None:
    began = asyncio.Event()

    async def work(step: Progress) -> WorkerSuspended:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise TransientError("its log cannot be synced")

    with Loops().watched():
        watch = ControlWatch(World(), every_s=0.01)
        held = asyncio.create_task(watch.held_to(AGENT, lambda _: None, work, SUSPENDED))
        await began.wait()
        held.cancel()
        await asyncio.wait({held})
        assert held.cancelled()
        del held, watch
        await asyncio.sleep(0)
