"""Pause, resume, and a run that needs its user. On the real server."""

import asyncio
import gc
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


def order(request: str, target: str, **more: Any) -> dict[str, Any]:
    """A pause or a resume as the command sends it."""
    return {"request": request, "target": target, "who": "me@here", "why": "lunch", **more}


async def two_rounds(turn: PlanTurn) -> TurnOutcome:
    if turn.turn <= 2:
        return outcome(turn, Decision.WAIT, spawned=spawn(turn, "a", "b"))
    return finish(turn)


async def started_tasks(script: Script) -> set[str]:
    return {work.me for work in script.orders}


async def paused_after_first_round(script: Script) -> WorkflowHandle[Any, Any]:
    """A run that was paused while its first two tasks worked."""
    release = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        await release.wait()
        return worker_done(order)

    script.plan, script.work = two_rounds, work
    run = await script.start()
    await script.until_asked(2)
    answer = await run.execute_update("pause", order("r1", script.name))
    assert "is paused" in answer
    release.set()
    await script.until_handed(2)
    return run


async def test_a_paused_run_starts_no_turn_and_no_task_until_it_is_resumed(script: Script) -> None:
    run = await paused_after_first_round(script)
    control = await run.query("control")
    assert control["paused"][script.name]["why"] == "lunch"
    turns_before = len(script.turns)
    await asyncio.sleep(1)  # nothing to wait for: that nothing happens is what is shown
    assert len(script.turns) == turns_before
    assert "is resumed" in await run.execute_update("resume", order("r2", script.name))
    report = await asyncio.wait_for(run.result(), 60)
    assert report["spent"]["tasks"] == 4


async def test_the_same_request_twice_is_carried_out_once(script: Script) -> None:
    run = await paused_after_first_round(script)
    await run.execute_update("resume", order("r2", script.name))
    again = await run.execute_update("pause", order("r1", script.name))
    assert "is paused" in again, "the answer of then"
    assert (await run.query("control"))["paused"] == {}, "and nothing done"
    await asyncio.wait_for(run.result(), 60)


async def test_a_target_of_another_run_is_refused(script: Script) -> None:
    script.plan = two_rounds
    run = await script.start()
    with pytest.raises(WorkflowUpdateFailedError):
        await run.execute_update("pause", order("r1", "another"))
    await run.result()


async def test_a_suspended_worker_goes_on_after_the_resume(script: Script) -> None:
    paused = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if not paused.is_set():
            await paused.wait()
            return WorkerSuspended(why="held")
        return worker_done(order)

    async def plan(turn: PlanTurn) -> TurnOutcome:
        return outcome(turn, Decision.WAIT, spawned=spawn(turn, "a")) if turn.turn == 1 else finish(turn)

    script.plan, script.work = plan, work
    run = await script.start()
    await script.until_asked(1)
    await run.signal("pause", order("r1", script.name))
    paused.set()
    await asyncio.sleep(1)  # the task must not ask for its worker again meanwhile
    assert len(script.orders) == 1
    await run.signal("resume", order("r2", script.name))
    await asyncio.wait_for(run.result(), 60)
    assert len(script.orders) == 2


async def test_a_failed_root_parks_the_run_and_resume_gives_it_another_planner(script: Script) -> None:
    fixed = asyncio.Event()

    async def plan(turn: PlanTurn) -> TurnOutcome:
        if not fixed.is_set():
            return outcome(turn, Decision.GAVE_UP, why="no usable reply")
        return finish(turn)

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "needs_attention")
    fixed.set()
    first = script.turns[0].me
    assert "another root planner" in await run.execute_update("resume", order("r1", script.name))
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert script.turns[-1].me != first
    assert len(script.notes) == 1
    assert any(turn.steers for turn in script.turns), "the new planner is told what the old one said"


async def test_a_cancelled_subtree_of_a_parked_run_can_still_be_ended(script: Script) -> None:
    async def plan(turn: PlanTurn) -> TurnOutcome:
        return outcome(turn, Decision.GAVE_UP, why="no usable reply")

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "needs_attention")
    await run.cancel()
    with pytest.raises(Exception, match="Workflow execution failed"):
        await asyncio.wait_for(run.result(), 60)
    assert script.stored[script.turns[0].me].status is HandoffStatus.FAILED


async def test_a_cancelled_child_leaves_no_exception_behind_in_its_planner(cached_script: Script) -> None:
    """A child's handle is a task of its own, whose error is for no one: how the child ended comes by signal."""
    script = cached_script

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        await asyncio.Event().wait()
        return worker_done(order)

    async def plan(turn: PlanTurn) -> TurnOutcome:
        gc.collect()  # a task tells of its exception when it goes, unless its workflow has left the cache before
        match turn.turn:
            case 1:
                return outcome(turn, Decision.GO_ON, spawned=spawn(turn, "waits"))
            case 2:
                await script.until_asked(1)
                return outcome(turn, Decision.WAIT, cancelled=tuple(each.key for each in script.spawned[turn.me]))
        return finish(turn)

    script.plan, script.work = plan, work
    report = await asyncio.wait_for((await script.start()).result(), 60)
    assert report["outcome"] == "done"
    assert list(script.handed.values()) == [HandoffStatus.CANCELLED]
