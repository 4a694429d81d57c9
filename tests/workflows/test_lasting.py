"""What a run survives: continue-as-new, cancel, reset, terminate. On the real server."""

import asyncio
from collections import Counter

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


def crowd(count: int) -> list[str]:
    return [f"task {index}" for index in range(count)]


async def still_running(client: Client, run: str) -> list[str]:
    """Ids of the run's workflows that are not closed.

    Asked one by one: a list shows what has just closed as running for a moment.
    """
    query = f"RootWorkflowId = '{run}' AND ExecutionStatus = 'Running'"
    listed = [client.get_workflow_handle(found.id) async for found in client.list_workflows(query)]
    return [one.id for one in listed if (await one.describe()).status is WorkflowExecutionStatus.RUNNING]


async def runs_of(client: Client, agent: AgentId) -> int:
    """Workflow runs in the chain of a planner."""
    return len([found async for found in client.list_workflows(f"WorkflowId = '{agent}'")])


async def test_a_planner_that_continues_as_new_with_a_hundred_tasks_in_flight_loses_none(script: Script) -> None:
    release = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *crowd(100)))
        return outcome(order, Decision.WAIT) if order.inbox else finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        if int(order.title.split()[1]) >= 20:
            await release.wait()
        elif len(script.handed) >= 19:
            release.set()
        return worker_done(order, HandoffStatus.PARTIAL)  # a handoff that is not done wakes the planner at once

    script.plan, script.work = plan, work
    script.context_update = {"continue_after": 10}
    report = await asyncio.wait_for((await script.start()).result(), 100)
    taken = Counter(notice.child for turn in script.turns for notice in turn.inbox)
    assert len(taken) == 100
    assert set(taken.values()) == {1}
    assert report["spent"]["tasks"] == 100
    assert await runs_of(script.client, script.turns[0].me) >= 2


async def three_levels(order: PlanTurn) -> TurnOutcome:
    """Two planners below the root, two below each, five tasks each: 20 tasks and 7 planners."""
    if order.turn > 1:
        return finish(order)
    if order.depth < 3:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "left", "right", kind=ChildKind.PLANNER))
    return outcome(order, Decision.WAIT, spawned=spawn(order, *crowd(5)))


async def until_cancelled(order: WorkOrder) -> WorkerDone:
    await asyncio.Event().wait()
    raise AssertionError


async def test_cancel_of_a_three_level_tree_ends_everything_and_every_task_hands_off(script: Script) -> None:
    script.plan, script.work = three_levels, until_cancelled
    run = await script.start()
    await script.until_asked(20)
    await run.cancel()
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(run.result(), 60)
    assert (await run.describe()).status is WorkflowExecutionStatus.CANCELED
    assert await still_running(script.client, script.name) == []
    assert Counter(script.handed.values()) == {HandoffStatus.CANCELLED: 20}


async def reset(client: Client, agent: AgentId, event_id: int) -> None:
    """What `temporal workflow reset --event-id` does."""
    description = await client.get_workflow_handle(agent).describe()
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=agent, run_id=description.run_id),
            reason="test",
            request_id=f"{agent}-{event_id}",
            workflow_task_finish_event_id=event_id,
        )
    )


@pytest.mark.parametrize("same", [True, False], ids=["the same answer", "another answer"])
async def test_a_reset_replans_from_there_and_keeps_the_work(script: Script, *, same: bool) -> None:
    hold = asyncio.Event()
    generation = {"now": 1}

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            titles = ["one", "two", "three"] if same or generation["now"] == 1 else ["other", "two"]
            asked = spawn(order, *titles)
            lost = () if generation["now"] == 1 else spawn(order, "one", "two", "three")
            return outcome(order, Decision.WAIT, spawned=asked, recovered=lost)
        if generation["now"] == 1:
            await hold.wait()
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        if order.title == "three" and generation["now"] == 1:
            await hold.wait()
        return worker_done(order, HandoffStatus.PARTIAL)

    script.plan, script.work = plan, work
    run = await script.start()
    await script.until_handed(2)
    root = script.turns[0].me
    generation["now"] = 2
    await reset(script.client, root, 4)
    hold.set()
    report = await asyncio.wait_for(run.result(), 60)
    started = Counter(order.me for order in script.orders)
    assert set(started.values()) == {1}, "no task twice"
    assert len(started) == (3 if same else 4)
    assert report["spent"]["tasks"] == len(started), "nothing dropped, nothing counted twice"
    assert await still_running(script.client, script.name) == []
