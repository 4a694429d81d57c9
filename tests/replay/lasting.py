"""The longer stories: continue-as-new, reset, audit, budgets, tasks that go wrong."""

import asyncio
import time

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.exceptions import ApplicationError

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import key_of
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from tests.replay.scenarios import Kept, Stage, first_then_finish, request, story
from tests.workflows.scripted import finish, outcome, spawn, worker_done


@story()
async def in_flight(stage: Stage) -> Kept:
    """A planner continues as new twice while 24 tasks are at work, one of which waits for its next slice."""
    release = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *(f"task {n}" for n in range(24))))
        return outcome(order, Decision.WAIT) if order.inbox else finish(order)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        number = int(order.title.split()[1])
        if number == 20 and order.granted.tokens < 300_000:
            return WorkerSuspended(
                why="grant", spent=Amount(tokens=order.granted.tokens - 10, tasks=1), need=Amount(tokens=1000)
            )
        if number >= 12:
            await release.wait()
        elif len(stage.handed) >= 11:
            release.set()
        return worker_done(order, HandoffStatus.PARTIAL)

    stage.plan, stage.work = plan, work
    stage.context_update |= {"continue_after": 8}
    await (await stage.start()).result()
    return {"planner-continue-as-new": stage.root}


@story(suggest=40)
async def long_run(stage: Stage) -> Kept:
    """A run continues as new while it is paused, because it was told so much."""
    release = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    stage.plan, stage.work = first_then_finish("one"), work
    run = await stage.start()
    await stage.until_asked(1)
    for number in range(0, 16, 2):
        await run.execute_update("pause", request(stage, number))
        await run.execute_update("resume", request(stage, number + 1))
    await run.execute_update("pause", request(stage, 99))
    release.set()
    await stage.until_handed(1)
    await run.execute_update("resume", request(stage, 100))
    await run.result()
    return {"run-continue-as-new": stage.name}


async def _reset_planner(stage: Stage, *, same: bool) -> None:
    hold, generation = asyncio.Event(), [1]

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            titles = ["one", "two", "three"] if same or generation == [1] else ["other", "two"]
            lost = () if generation == [1] else spawn(order, "one", "two", "three")
            return outcome(order, Decision.WAIT, spawned=spawn(order, *titles), recovered=lost)
        if generation == [1]:
            await hold.wait()
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        if order.title == "three":
            await stage.audited.wait()
        return worker_done(order, HandoffStatus.PARTIAL)

    stage.plan, stage.work = plan, work
    run = await stage.start()
    await stage.until_handed(2)
    while len(stage.turns) < 2:  # noqa: ASYNC110 - the second turn is what is taken back
        await asyncio.sleep(0.02)
    generation[:] = [2]
    described = await stage.client.get_workflow_handle(stage.root).describe()
    await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=stage.root, run_id=described.run_id),
            reason="replan",
            request_id=f"{stage.root} again",
            workflow_task_finish_event_id=4,
        )
    )
    await stage.audited.wait()
    hold.set()
    await run.result()


@story()
async def reset_same(stage: Stage) -> Kept:
    """Reset to the first turn, which decides the same: its children are adopted and looked up."""
    await _reset_planner(stage, same=True)
    return {"planner-reset-adopts": stage.root}


@story()
async def reset_other(stage: Stage) -> Kept:
    """Reset to the first turn, which decides otherwise: what was out there is taken over."""
    await _reset_planner(stage, same=False)
    return {"planner-reset-replans": stage.root}


@story()
async def audited(stage: Stage) -> Kept:
    """A task is terminated, which tells nobody: the audit finds it. A long turn makes the run look up its planner."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 2:
            await asyncio.sleep(4)
        return await first_then_finish("terminated", "well")(order)

    async def work(order: WorkOrder) -> WorkerDone:
        if order.title == "terminated":
            await asyncio.Event().wait()
        return worker_done(order)

    stage.plan, stage.work = plan, work
    stage.context_update |= {"audit_s": 2}
    run = await stage.start()
    await stage.until_asked(2)
    lost = stage.task("terminated")
    await stage.client.get_workflow_handle(lost).terminate("by hand")
    stage.closed.append(HandoffNotice(child=key_of(lost), status=HandoffStatus.FAILED, seq=0))
    await run.result()
    return {"planner-audit": stage.root, "run-audits": stage.name}


@story()
async def slices(stage: Stage) -> Kept:
    """A task, and a sub-planner, use up their slices and are granted more."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.depth == 1:
            if order.turn == 1:
                return outcome(order, Decision.WAIT, spawned=spawn(order, "the parser", kind=ChildKind.PLANNER))
            return finish(order)
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *(f"part {n}" for n in range(4))))
        if order.allowance.tokens < 700_000:
            return outcome(order, Decision.OUT_OF_BUDGET, need=Amount(tokens=300_000))
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.title == "part 0" and order.granted.tokens < 400_000:
            return WorkerSuspended(
                why="grant", spent=Amount(tokens=order.granted.tokens - 10, tasks=1), need=Amount(tokens=1000)
            )
        return worker_done(order, tokens=order.granted.tokens - 10)

    stage.plan, stage.work = plan, work
    stage.budget = Amount(tokens=6_000_000, tasks=100)
    await (await stage.start()).result()
    below = next(turn.me for turn in stage.turns if turn.depth > 1)
    return {
        "planner-budget-grants": stage.root,
        "planner-budget-asks": below,
        "task-asks": stage.task("part 0"),
    }


@story()
async def no_more(stage: Stage) -> Kept:
    """The budget is gone: a task is told so and hands off, those that never started are dropped."""

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.more:
            return WorkerSuspended(
                why="grant", spent=Amount(tokens=order.granted.tokens, tasks=1), need=Amount(tokens=1000)
            )
        return worker_done(order, HandoffStatus.PARTIAL, tokens=order.granted.tokens)

    stage.plan, stage.work = first_then_finish(*"abcdef"), work
    stage.budget = Amount(tokens=1_000_000, tasks=1000)
    stage.context_update = stage.context_update | {"hold_s": 1.0}
    await (await stage.start()).result()
    return {"planner-budget-dropped": stage.root, "task-is-refused-more": stage.orders[0].me}


@story()
async def out_of_hours(stage: Stage) -> Kept:
    """The run's hours end while a task works."""
    stage.plan = first_then_finish("one")
    late = time.time() + 3

    async def work(order: WorkOrder) -> WorkerDone:
        await asyncio.sleep(max(0.0, late + 1 - time.time()))
        return worker_done(order)

    stage.work = work
    stage.context_update |= {"deadline": late}
    await (await stage.start()).result()
    return {"planner-out-of-hours": stage.root}


@story()
async def rests(stage: Stage) -> Kept:
    """`finish` while a child is out; its handoff wakes the planner, which plans on and cancels the other child."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return finish(order).model_copy(update={"spawned": spawn(order, "late", "unwanted")})
        if order.turn == 2:
            unwanted = spawn(order.model_copy(update={"turn": 1}), "late", "unwanted")[1]
            return outcome(order, Decision.WAIT, spawned=spawn(order, "one more"), cancelled=(unwanted.key,))
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        if order.title == "unwanted":
            await asyncio.Event().wait()
        return worker_done(order, HandoffStatus.PARTIAL)

    stage.plan, stage.work = plan, work
    await (await stage.start()).result()
    return {"planner-rests-and-cancels": stage.root}


@story()
async def idle(stage: Stage) -> Kept:
    """Three times `wait` with nothing outstanding."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT)

    stage.plan = plan
    await (await stage.start()).result()
    return {"planner-idle": stage.root, "run-partial": stage.name}


@story()
async def retried(stage: Stage) -> Kept:
    """A worker fails as often as the limits say."""

    async def work(order: WorkOrder) -> WorkerDone:
        return worker_done(order, HandoffStatus.FAILED, retry=True)

    stage.plan, stage.work = first_then_finish("hard"), work
    stage.context_update |= {"attempts": 3}
    await (await stage.start()).result()
    return {"task-retried": stage.task("hard")}


@story()
async def ended(stage: Stage) -> Kept:
    """A bug in the worker: the harness ends the task in its place."""

    async def work(order: WorkOrder) -> WorkerDone:
        raise ApplicationError("a bug of ours", non_retryable=True)

    stage.plan, stage.work = first_then_finish("broken"), work
    await (await stage.start()).result()
    return {"task-ended-by-the-harness": stage.task("broken")}


@story()
async def orphaned(stage: Stage) -> Kept:
    """The planner is terminated while its task works: the handoff is stored, and nobody is there to be told."""
    release = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    stage.plan, stage.work = first_then_finish("alone"), work
    run = await stage.start()
    await stage.until_asked(1)
    await stage.client.get_workflow_handle(stage.root).terminate("by hand")
    release.set()
    alone = stage.task("alone")
    await stage.client.get_workflow_handle(alone).result()
    await run.terminate("the story is over")
    return {"task-orphaned": alone, "planner-terminated": stage.root}


@story()
async def abandoned(stage: Stage) -> Kept:
    """The run is terminated: its planner notices at the next audit, and ends with what is below it."""

    async def work(order: WorkOrder) -> WorkerDone:
        await asyncio.Event().wait()
        raise AssertionError

    stage.plan, stage.work = first_then_finish("for nobody"), work
    stage.context_update |= {"audit_s": 2}
    run = await stage.start()
    await stage.until_asked(1)
    await run.terminate("by hand")
    await stage.client.get_workflow_handle(stage.root).result()
    return {"planner-whose-parent-is-closed": stage.root, "run-terminated": stage.name}
