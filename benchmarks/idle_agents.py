"""Agents that do nothing, behind our real activities: what is left is the durable core."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.control import ControlWatch
from activities.handoffs import Handoffs
from activities.planning import Planning
from activities.repository import Repository
from activities.temporal_service import TemporalService
from activities.work import Work, WorkEnds
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, Oid, child_key
from headway.domain.messages import EndWorker, StoredHandoff, StoreHandoff, WorkerDone, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, Finish, PlanTurn, Spawned, TurnOutcome
from headway.domain.progress import Progress
from headway.domain.refs import Ref
from headway.domain.run import (
    MeasureSpent,
    Note,
    Outcome,
    PreparedRun,
    PrepareRun,
    Publish,
    Published,
    RunContext,
    RunReport,
    WriteAmendment,
    WriteReport,
)
from headway.domain.state.budget import UNLIMITED, Amount, Sizes
from worker import workflow_worker
from workflows.options import AGENT_QUEUE, QUEUE

BASE = Oid("a" * 40)
HOLD = "hold"


def asked(tasks: int, *, hold: bool = False) -> dict[str, Any]:
    """The input of a run of so many tasks; with `hold`, tasks that never end."""
    return {"repo": HOLD if hold else "none", "instructions": f"{tasks}"}


class IdlePlanner:
    """Asks for a hundred tasks a turn, then finishes."""

    async def turn(self, order: PlanTurn, progress: Progress) -> TurnOutcome:
        progress("plans")
        wanted = order.context.sizes.task.tokens - (order.turn - 1) * 100
        if wanted <= 0:
            said = Finish(status=HandoffStatus.DONE, seq=order.from_seq + 1, summary="done")
            return TurnOutcome(
                decision=Decision.FINISH, seq=order.from_seq + 2, own=Amount(tokens=order.turn), finish=said
            )
        spawned = tuple(
            Spawned(
                key=child_key(order.turn, index, order.context.incarnation, str(index)),
                kind=ChildKind.TASK,
                title=f"Task {index} of turn {order.turn}",
                seq=order.from_seq + 1,
                item=index,
            )
            for index in range(min(100, wanted, order.spawnable))
        )
        held = order.context.base == Oid(HOLD)  # such tasks never hand off: all are asked for without waiting
        decision = Decision.GO_ON if held and wanted > 100 else Decision.WAIT
        return TurnOutcome(decision=decision, seq=order.from_seq + 2, own=Amount(tokens=order.turn), spawned=spawned)


class IdleWorker:
    """Hands off at once; or works for ever, when the run is there to be paused."""

    async def work(self, order: WorkOrder, progress: Progress) -> WorkerDone:
        progress("works")
        while order.context.base == Oid(HOLD):
            await asyncio.sleep(1)
            progress("works")
        return _done(order)

    async def end(self, order: EndWorker) -> WorkerDone:
        return _done(order.order)


class IdleDesk:
    """Prepares and reports nothing."""

    async def prepare(self, order: PrepareRun, attributes: tuple[str, ...], progress: Progress) -> PreparedRun:
        tasks = int(str(order.spec["instructions"]))
        context = RunContext(
            run=order.run,
            incarnation=order.incarnation,
            spec=Ref(log=AgentId(order.run), seq=1),
            base=Oid(HOLD) if order.spec["repo"] == HOLD else BASE,
            sizes=Sizes(task_call=Amount(tokens=1), task=Amount(tokens=tasks, tasks=1, micro_usd=UNLIMITED)),
            open_tasks=1000,
            attributes=attributes,
        )
        budget = Amount(tokens=UNLIMITED, tasks=UNLIMITED)
        scope = Ref(log=AgentId(order.run), seq=0)
        return PreparedRun(
            context=context, scope=scope, title=f"{tasks} tasks", budget=budget, repo="none", level="none"
        )

    async def amendment(self, order: WriteAmendment) -> Ref:
        return Ref(log=AgentId(order.run), seq=0)

    async def spent(self, order: MeasureSpent) -> Amount:
        return Amount()

    async def publish(self, order: Publish) -> Published:
        return Published(trunk=BASE, branch="none")

    async def note(self, order: Note) -> Ref:
        return order.about

    async def report(self, order: WriteReport) -> RunReport:
        return RunReport(
            run=order.context.run, outcome=Outcome.DONE_UNPROVEN, summary="", branch="", trunk=BASE, commits=0
        )


class IdleStore:
    """Stores nothing."""

    async def store(self, order: StoreHandoff) -> StoredHandoff:
        return StoredHandoff(ref=Ref(log=order.me, seq=0), status=order.status, summary="", spent=Amount())

    async def children(self, planner: AgentId) -> tuple[Spawned, ...]:
        return ()

    async def spent(self, agent: AgentId, apart: Collection[AgentId] = ()) -> Amount:
        return Amount()


def worker(role: str, client: Client) -> Worker:
    """The worker process of a role, with the options that worker.py gives it."""
    service = TemporalService(client)
    control = ControlWatch(service)
    if role == "workflows":
        return workflow_worker(client, Path("nowhere"))
    if role == "agents":
        return Worker(
            client,
            task_queue=AGENT_QUEUE,
            activities=[Work(IdleWorker(), control).run_worker],
            max_concurrent_activities=200,
        )
    handoffs, repository = Handoffs(IdleStore(), service), Repository(IdleDesk(), service)
    return Worker(
        client,
        task_queue=QUEUE,
        activities=[
            Planning(IdlePlanner(), control).plan_turn,
            handoffs.store_handoff,
            handoffs.describe_children,
            repository.prepare_run,
            repository.publish,
            repository.write_note,
            repository.write_report,
            WorkEnds(IdleWorker()).end_worker,
        ],
        max_concurrent_activities=100,
    )


def _done(order: WorkOrder) -> WorkerDone:
    ref, spent = Ref(log=order.me, seq=1), Amount(tokens=1, tasks=1)
    return WorkerDone(ref=ref, status=HandoffStatus.DONE, summary="done", spent=spent)
