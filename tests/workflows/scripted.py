"""Activities that answer from a script, so that a test says what planners decide and workers do.

Workflows are the real ones. At the end of a test every history that it made is replayed.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Interceptor, Worker

from activities.handoffs import Handoffs
from activities.temporal_service import TemporalService
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, Oid, child_key
from headway.domain.messages import (
    DescribeChildren,
    EndWorker,
    FoundClosed,
    StoredHandoff,
    StoreHandoff,
    WorkerDone,
    WorkerSuspended,
    WorkOrder,
)
from headway.domain.planner_turn import ChildKind, Decision, Finish, PlanTurn, Spawned, TurnOutcome
from headway.domain.refs import Ref
from headway.domain.run import (
    MeasureSpent,
    Note,
    PreparedRun,
    PrepareRun,
    Publish,
    Published,
    RunContext,
    RunReport,
    WriteAmendment,
    WriteReport,
    outcome_of,
)
from headway.domain.state.budget import UNLIMITED, Amount, Bill, Sizes
from headway.host.replayed import replay_each
from tests.support.loops import Loops
from tests.support.waiting import until
from workflows.options import AGENT_QUEUE, QUEUE
from workflows.planner import Planner
from workflows.replay import INTERCEPTORS, reading, replayer, sandbox
from workflows.run import Run
from workflows.task import Task

Turn = Callable[[PlanTurn], Awaitable[TurnOutcome]]
Work = Callable[[WorkOrder], Awaitable[WorkerDone | WorkerSuspended]]

BASE = Oid("a" * 40)
SLICE = 150_000
"""The first slice of a task."""
PLAN = Amount(tokens=1_000)
SIZES = Sizes(task_call=Amount(tokens=SLICE // 3), planner_call=PLAN, root_call=PLAN)


def outcome(order: PlanTurn, decision: Decision, **more: Any) -> TurnOutcome:
    """A turn's outcome with the numbers that the log would give."""
    return TurnOutcome(decision=decision, seq=order.from_seq + 10, own=Amount(tokens=order.turn * 100), **more)


def spawn(order: PlanTurn, *titles: str, kind: ChildKind = ChildKind.TASK) -> tuple[Spawned, ...]:
    """Children with the keys that a real turn would give them."""
    return tuple(
        Spawned(
            key=child_key(order.turn, index, order.context.incarnation, title),
            kind=kind,
            title=title,
            seq=order.from_seq + 5,
            item=index,
        )
        for index, title in enumerate(titles)
    )


def finish(order: PlanTurn, status: HandoffStatus = HandoffStatus.DONE, summary: str = "all done") -> TurnOutcome:
    """A turn that ends with `finish`."""
    said = Finish(status=status, seq=order.from_seq + 8, summary=summary)
    return outcome(order, Decision.FINISH, finish=said)


async def done(order: WorkOrder) -> WorkerDone:
    """A worker that does its task."""
    return worker_done(order)


def worker_done(
    order: WorkOrder, status: HandoffStatus = HandoffStatus.DONE, *, tokens: int = 1000, retry: bool = False
) -> WorkerDone:
    """A worker's handoff."""
    return WorkerDone(
        ref=Ref(log=order.me, seq=order.attempt),
        status=status,
        summary=f"{order.title}: {status}",
        spent=Amount(tokens=tokens, tasks=1),
        retry=retry,
    )


class Script:
    """What planners and workers do in one test, and what was asked of them."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.plan: Turn = self._nothing_planned
        self.work: Work = done
        self.turns: list[PlanTurn] = []
        self.orders: list[WorkOrder] = []
        self.stored: dict[AgentId, StoreHandoff] = {}
        self.checks: list[RunCheck] = []
        self.checking = asyncio.Event()
        self.checking.set()
        self.trunks: list[Oid] = []
        self.ended: list[EndWorker] = []
        self.notes: list[Note] = []
        self.amendments: list[WriteAmendment] = []
        self.published: list[Publish] = []
        self.limits: dict[str, Any] = {}
        self.budget = Amount(tokens=20_000_000, tasks=1000)
        self.passes = True
        self.handed: dict[AgentId, HandoffStatus] = {}
        self.changed = asyncio.Condition()
        self.context_update: dict[str, Any] = {}
        self.faults: list[Interceptor] = []
        self.spawned: dict[AgentId, list[Spawned]] = defaultdict(list)
        self.used: dict[AgentId, Amount] = {}
        self.started: set[str] = set()

    async def _nothing_planned(self, order: PlanTurn) -> TurnOutcome:
        return finish(order, HandoffStatus.NOT_NEEDED)

    # Starting

    async def start(self, raw: Any = None, *, name: str | None = None) -> WorkflowHandle[Any, Any]:
        """Start a run as the stock CLI does: by the name of its type, with one JSON object."""
        raw = {"repo": "/some/repo", "instructions": "Do it.", **({"check": "true"} if self.passes else {})} | (
            raw or {}
        )
        return await self.start_with(raw, name=name)

    async def start_with(self, *inputs: Any, name: str | None = None) -> WorkflowHandle[Any, Any]:
        """Start a run with any input at all."""
        handle = await self.client.start_workflow(
            "Run",
            args=list(inputs),
            id=name or self.name,
            task_queue=QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        self.started.add(handle.id)
        return handle

    @contextlib.asynccontextmanager
    async def working(self, *, cached: int = 100, agents: int = 200, replays: bool = True) -> AsyncIterator[None]:
        """The worker processes: workflows, planning, agents. Their loops may report nothing.

        Args:
            cached: Workflows that are kept in memory. With 0 every workflow task replays its history from the start.
            agents: Workers at once.
            replays: Whether every history that was made must replay at the end.
        """
        loops = Loops()
        planning = Worker(
            reading(self.client),
            task_queue=QUEUE,
            workflows=[Run, Planner, Task],
            workflow_runner=sandbox(),
            max_cached_workflows=cached,
            interceptors=[*INTERCEPTORS, *self.faults, loops],
            activities=[
                self.prepare_run,
                self.plan_turn,
                self.store_handoff,
                self.describe_children,
                self.publish,
                self.write_note,
                self.write_amendment,
                self.write_report,
                self.measure_spent,
                self.end_worker,
            ],
        )
        working = Worker(
            self.client,
            task_queue=AGENT_QUEUE,
            activities=[self.run_worker, self.run_check],
            max_concurrent_activities=agents,
            interceptors=self.faults,
        )
        with loops.watched():
            async with planning, working:
                yield
                if replays:
                    await self._prove_replays()

    async def _prove_replays(self) -> None:
        """Every decision in the histories is the one that the code takes when it reads them from the start."""
        asked = {turn.me for turn in self.turns} | {order.me for order in self.orders}
        for name in self.started:
            query = f"RootWorkflowId = '{name}'"
            agents = {AgentId(name), *(agent for agent in asked if agent.startswith(f"{name}/"))}

            async def are_listed(query: str = query, agents: set[AgentId] = agents) -> bool:
                """Visibility lags."""
                return agents <= {found.id async for found in self.client.list_workflows(query)}

            await until(are_listed, every_s=0.1)
            histories = self._histories(query)
            assert [each.mismatch async for each in replay_each(replayer(), histories) if each.mismatch] == []

    async def _histories(self, query: str) -> AsyncIterator[WorkflowHistory]:
        async for found in self.client.list_workflows(query):
            yield await self.client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()

    # Activities

    @activity.defn(name="prepare_run")
    async def prepare_run(self, order: PrepareRun) -> PreparedRun:
        context = RunContext(
            run=order.run,
            incarnation=order.incarnation,
            spec=Ref(log=AgentId(order.run), seq=1),
            base=BASE,
            has_check="check" in order.spec,
            sizes=SIZES,
            heartbeat_s=5,
            again_s=0.2,
        ).model_copy(update=self.context_update)
        return PreparedRun(
            context=context,
            scope=Ref(log=AgentId(order.run), seq=0),
            title="Do it.",
            budget=self.budget.most(Amount(micro_usd=UNLIMITED)),
            repo=str(order.spec["repo"]),
            level="plain",
        )

    @activity.defn(name="plan_turn")
    async def plan_turn(self, order: PlanTurn) -> TurnOutcome:
        self.turns.append(order)
        outcome = await self.plan(order)
        self.spawned[order.me] += outcome.spawned
        self.used[order.me] = outcome.own
        return outcome

    @activity.defn(name="run_worker")
    async def run_worker(self, order: WorkOrder) -> WorkerDone | WorkerSuspended:
        self.orders.append(order)
        async with self.changed:
            self.changed.notify_all()
        beating = asyncio.create_task(_beat())
        try:
            result = await self.work(order)
        finally:
            beating.cancel()
        if isinstance(result, WorkerDone):
            self.used[order.me] = result.spent
        if isinstance(result, WorkerDone) and not result.retry:
            self.handed[order.me] = result.status
            async with self.changed:
                self.changed.notify_all()
        return result

    async def until_phase(self, run: WorkflowHandle[Any, Any], phase: str) -> None:
        """Return when the run says that it is in `phase`.

        A query of a workflow that is in no cache may wait in vain, ten seconds, for a workflow task beside it.
        """
        said = ""
        while said != phase:
            try:
                said = (await run.query("status"))["phase"]
            except RPCError as error:
                if error.status not in {RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED}:
                    raise
            await asyncio.sleep(0.05)

    async def until_asked(self, count: int) -> None:
        """Return when so many workers have been started."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.orders) >= count)

    async def until_handed(self, count: int) -> None:
        """Return when so many workers have handed off."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.handed) >= count)

    async def until_told(self, count: int) -> None:
        """Return when so many tasks are over: each has told its planner before."""
        query = f"RootWorkflowId = '{self.name}' AND WorkflowType = 'Task' AND ExecutionStatus = 'Completed'"
        while (await self.client.count_workflows(query)).count < count:  # noqa: ASYNC110 - the server tells when asked
            await asyncio.sleep(0.05)

    @activity.defn(name="end_worker")
    async def end_worker(self, order: EndWorker) -> WorkerDone:
        self.ended.append(order)
        self.handed[order.order.me] = order.status
        return worker_done(order.order, order.status)

    @activity.defn(name="store_handoff")
    async def store_handoff(self, order: StoreHandoff) -> StoredHandoff:
        self.stored[order.me] = order
        return StoredHandoff(ref=Ref(log=order.me, seq=99), status=order.status, summary=order.why, spent=Amount())

    @activity.defn(name="describe_children")
    async def describe_children(self, order: DescribeChildren) -> list[FoundClosed]:
        return await Handoffs(_Store(self), TemporalService(self.client)).describe_children(order)

    @activity.defn(name="publish")
    async def publish(self, order: Publish) -> Published:
        self.published.append(order)
        trunk = self.trunks.pop(0) if self.trunks else BASE
        return Published(trunk=trunk, branch=f"headway/{order.run}/main")

    @activity.defn(name="write_note")
    async def write_note(self, order: Note) -> Ref:
        self.notes.append(order)
        return Ref(log=AgentId(order.run), seq=len(self.notes))

    @activity.defn(name="write_amendment")
    async def write_amendment(self, order: WriteAmendment) -> Ref:
        self.amendments.append(order)
        return Ref(log=AgentId(order.run), seq=1000 + len(self.amendments))

    @activity.defn(name="run_check")
    async def run_check(self, order: RunCheck) -> CheckVerdict:
        self.checks.append(order)
        await self.checking.wait()
        return CheckVerdict(commit=BASE, passed=self.passes, why="passed" if self.passes else "exit code 1")

    @activity.defn(name="measure_spent")
    async def measure_spent(self, order: MeasureSpent) -> Amount:
        return sum(self.used.values(), Amount())

    @activity.defn(name="write_report")
    async def write_report(self, order: WriteReport) -> RunReport:
        return RunReport(
            run=order.context.run,
            outcome=outcome_of(order.status, order.verdict),
            summary="",
            branch="",
            trunk=BASE,
            commits=0,
            check=order.verdict,
            spent=Bill.of(order.spent),
        )

    def by_planner(self) -> dict[AgentId, list[PlanTurn]]:
        """The turns that were asked for, by planner."""
        found: dict[AgentId, list[PlanTurn]] = defaultdict(list)
        for turn in self.turns:
            found[turn.me].append(turn)
        return found


class _Store:
    """The logs of a script's agents, as far as an audit reads them."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def store(self, order: StoreHandoff) -> StoredHandoff:
        return await self._script.store_handoff(order)

    async def children(self, planner: AgentId) -> list[Spawned]:
        return self._script.spawned[planner]

    async def spent(self, agent: AgentId, apart: Collection[AgentId] = ()) -> Amount:
        used = self._script.used.items()
        others = tuple(f"{other}/" for other in apart)
        below = [(f"{each}/", amount) for each, amount in used if f"{each}/".startswith(f"{agent}/")]
        return sum((amount for each, amount in below if not each.startswith(others)), Amount())


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.5)
