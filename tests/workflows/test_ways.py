"""Runs are told of models that refuse their agents: what is news, once, and that it is over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.control import ControlWatch
from activities.outage_reporter import OutageReporter
from activities.planning import Planning
from activities.work import Work
from headway.domain.errors import Parked
from headway.domain.ids import AgentId, Incarnation, Oid, RunName
from headway.domain.messages import EndWorker, WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.model_outage import ModelOutage
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.progress import Progress
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control

RUN = RunName("r")
NOW = 1000.0


def parking(generation: int = 1, *, parked: bool = True, since: float = NOW, until: float = NOW + 900) -> ModelOutage:
    place = {"endpoint": "http://here/v1", "model": "m"}
    return ModelOutage(**place, generation=generation, parked=parked, since=since, until=until)


@dataclass
class Machine:
    """The gates of a process, and the line to runs that remember."""

    gates: list[ModelOutage] = field(default_factory=list)
    told: list[ModelOutage] = field(default_factory=list)
    up: bool = True

    def parkings(self, run: RunName) -> tuple[ModelOutage, ...]:
        del run
        return tuple(self.gates)

    def forget(self, run: RunName) -> None:
        """Nothing is kept."""

    def ways(self, clock: Callable[[], float] = lambda: NOW) -> OutageReporter:
        return OutageReporter(self, _Line(self), clock)


class _Line:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def parkings(self, run: RunName) -> tuple[ModelOutage, ...] | None:
        return tuple(self._machine.told[-1:]) if self._machine.up else None

    async def tell_parking(self, run: RunName, parking: ModelOutage) -> bool:
        if self._machine.up:
            self._machine.told.append(parking)
        return self._machine.up

    async def control(self, run: RunName) -> Control | None:
        return Control()

    async def has_ended(self, run: RunName) -> bool:
        return False

    async def cancel(self, agent: AgentId) -> None:
        raise AssertionError(agent)


async def test_a_park_is_told_once_and_its_end_once() -> None:
    machine = Machine([parking()])
    ways = machine.ways()
    await ways.tell(RUN)
    await ways.tell(RUN)
    machine.gates = [parking(parked=False)]
    await ways.tell(RUN)
    await ways.tell(RUN)
    assert [each.parked for each in machine.told] == [True, False]


async def test_a_short_wait_is_not_worth_an_event_of_history() -> None:
    machine = Machine([parking(until=NOW + 5)])
    await machine.ways().tell(RUN)
    machine.gates = [parking(parked=False)]
    await machine.ways().tell(RUN)
    assert machine.told == []


async def test_short_waits_in_a_row_are() -> None:
    machine = Machine([parking(generation=7, since=NOW - 31, until=NOW + 5)])
    await machine.ways().tell(RUN)
    assert [each.generation for each in machine.told] == [7]


async def test_what_could_not_be_told_is_told_later() -> None:
    machine = Machine([parking()], up=False)
    ways = machine.ways()
    await ways.tell(RUN)
    machine.up = True
    await ways.tell(RUN)
    assert len(machine.told) == 1


async def test_another_process_tells_that_it_is_over() -> None:
    machine = Machine([parking()])
    await machine.ways().tell(RUN)
    machine.gates = [parking(parked=False)]
    await machine.ways().tell(RUN)
    assert [each.parked for each in machine.told] == [True, False]


class Refused:
    """An agent whose model is closed for long."""

    async def work(self, order: WorkOrder, progress: Progress) -> WorkerSuspended:
        raise Parked("closed", 900)

    async def turn(self, order: PlanTurn, progress: Progress) -> TurnOutcome:
        raise Parked("closed", 900)

    async def end(self, order: EndWorker) -> WorkerDone:
        raise NotImplementedError


@pytest.fixture
def watch() -> tuple[ControlWatch, Machine]:
    machine = Machine([parking()])
    return ControlWatch(_Line(machine), machine.ways(), every_s=3600), machine


CONTEXT = RunContext(run=RUN, incarnation=Incarnation("i"), spec=Ref(log=AgentId("r"), seq=0), base=Oid("a" * 40))


def _started_now() -> ActivityEnvironment:
    """An attempt that began at `NOW` by the service's clock, which is far from this machine's."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.fromtimestamp(NOW, UTC))
    return environment


async def test_a_parked_worker_ends_its_activity_as_suspended_and_its_run_has_heard_of_it(
    watch: tuple[ControlWatch, Machine],
) -> None:
    control, machine = watch
    task = Ref(log=AgentId("r"), seq=1)
    order = WorkOrder(context=CONTEXT, me=AgentId("r/a/1.0-b"), task=task, title="", granted=Amount(tokens=1))
    found = await _started_now().run(Work(Refused(), control).run_worker, order)
    assert isinstance(found, WorkerSuspended)
    assert found.why == "parked"
    assert found.until == pytest.approx(NOW + 900, abs=60)
    assert len(machine.told) == 1
    await asyncio.sleep(0)


async def test_a_parked_planner_too(watch: tuple[ControlWatch, Machine]) -> None:
    control, machine = watch
    scope = Ref(log=AgentId("r"), seq=1)
    order = PlanTurn(
        context=CONTEXT,
        me=AgentId("r/a"),
        key="k",
        turn=1,
        from_seq=4,
        scope=scope,
        depth=1,
        allowance=Amount(tokens=1),
        balance=Amount(),
        spawnable=0,
        may_delegate=False,
    )
    found = await _started_now().run(Planning(Refused(), control).plan_turn, order)
    assert (found.decision, found.seq) == (Decision.SUSPENDED, 4)
    assert found.until == pytest.approx(NOW + 900, abs=60)
    assert len(machine.told) == 1


async def test_a_step_of_the_wall_clock_neither_delays_nor_hastens_what_is_told() -> None:
    machine, wall = Machine(), [1_000_000.0]
    steady = [0.0]
    ways = machine.ways(lambda: wall[0] + steady[0])

    def look() -> None:
        """The gates give moments of a clock that is never set by the wall clock as it stands now."""
        machine.gates = [parking(since=wall[0], until=wall[0] + 20)]

    for moment, step in ((5.0, 86_400.0), (10.0, -2 * 86_400.0), (25.0, 3_600.0)):
        steady[0], wall[0] = moment, wall[0] + step
        look()
        await ways.tell(RUN)
        assert machine.told == []
    steady[0], wall[0] = 31.0, wall[0] - 86_400.0
    look()
    await ways.tell(RUN)
    assert len(machine.told) == 1
