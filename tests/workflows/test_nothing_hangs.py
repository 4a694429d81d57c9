"""What would make a run wait all night, spin, or say what is not so. On the real server."""

import asyncio
import time

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from headway.domain.ids import Oid
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


async def one_task(order: PlanTurn) -> TurnOutcome:
    return outcome(order, Decision.WAIT, spawned=spawn(order, "one")) if order.turn == 1 else finish(order)


async def test_a_turn_that_never_comes_back_ends_with_the_runs_hours(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        await asyncio.Event().wait()
        raise AssertionError

    script.plan = plan
    script.context_update = {"deadline": time.time() + 2}
    report = await asyncio.wait_for((await script.start()).result(), 30)
    assert report["outcome"] == "partial"


async def test_a_planner_with_open_tasks_sleeps_after_the_hours_are_over(script: Script) -> None:
    release = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    script.plan, script.work = one_task, work
    script.context_update = {"deadline": time.time() + 1}
    run = await script.start()
    await script.until_asked(1)
    await asyncio.sleep(4)  # time in which it must do nothing
    release.set()
    await asyncio.wait_for(run.result(), 30)
    history = await script.client.get_workflow_handle(script.turns[0].me).fetch_history()
    assert len(history.events) < 60


async def test_a_suspended_turn_is_not_asked_for_again_at_once(script: Script) -> None:
    until = time.monotonic() + 4

    async def plan(order: PlanTurn) -> TurnOutcome:
        if time.monotonic() < until:
            return TurnOutcome(decision=Decision.SUSPENDED, seq=order.from_seq, own=Amount(tokens=0))
        return finish(order)

    script.plan = plan
    await asyncio.wait_for((await script.start()).result(), 30)
    assert len(script.turns) < 8
    assert len({turn.key for turn in script.turns if turn.turn == 1}) == 1


async def test_a_check_of_another_commit_than_the_published_one_proves_nothing(script: Script) -> None:
    script.plan = one_task
    script.trunks = [Oid(digit * 40) for digit in "bcd"]
    report = await asyncio.wait_for((await script.start()).result(), 30)
    assert report["outcome"] == "done_unproven"
    assert len(script.checks) == 4, "once at the finish guard, three times at the end"


async def test_a_cancel_while_the_final_check_runs_does_not_check_again(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.final is not None:
            script.checking.clear()  # the guard's check is over; the final one shall take for ever
        return await one_task(order)

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "proving")
    await run.cancel()
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(run.result(), 30)
    assert (await run.describe()).status is WorkflowExecutionStatus.CANCELED
    assert len(script.checks) == 2
    script.checking.set()


async def test_a_cancel_is_heard_at_whatever_moment_it_comes(script: Script) -> None:
    """Also while a planner tells its parent something: the SDK swallows it there."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.GO_ON, spawned=spawn(order, *(f"task {index}" for index in range(3))))

    script.plan = plan
    script.context_update = {"open_tasks": 1000}
    for moment in range(6):
        run = await script.start(name=f"{script.name}-{moment}")
        await asyncio.sleep(0.15 * moment)  # the moment is what is varied
        await run.cancel()
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(run.result(), 60)
        assert (await run.describe()).status is WorkflowExecutionStatus.CANCELED
