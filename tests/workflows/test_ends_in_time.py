"""The run's hours, pauses and parked turns at moments where two of them meet. On the real server."""

import asyncio
import time
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


async def one_task(order: PlanTurn) -> TurnOutcome:
    return outcome(order, Decision.WAIT, spawned=spawn(order, "one")) if order.turn == 1 else finish(order)


def on(script: Script, request: str = "1", **more: Any) -> dict[str, Any]:
    return {"request": request, "target": script.name, **more}


async def test_a_paused_run_ends_when_its_hours_do(script: Script) -> None:
    stopped = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        await stopped.wait()
        return WorkerSuspended(why="held", spent=Amount(tokens=10, tasks=1))

    script.plan, script.work = one_task, work
    script.context_update = {"deadline": time.time() + 5}
    run = await script.start()
    await script.until_asked(1)
    await run.execute_update("pause", on(script))
    stopped.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "partial"
    [end] = script.ended
    assert (end.status, end.why) == (HandoffStatus.PARTIAL, "the run's hours ended while the task was paused")
    assert len(script.orders) == 1


async def test_hours_that_are_given_during_a_pause_are_heard(script: Script) -> None:
    stopped = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if len(script.orders) == 1:
            await stopped.wait()
            return WorkerSuspended(why="held", spent=Amount(tokens=10, tasks=1))
        return worker_done(order)

    script.plan, script.work = one_task, work
    script.context_update = {"deadline": time.time() + 4}
    run = await script.start()
    await script.until_asked(1)
    await run.execute_update("pause", on(script))
    stopped.set()
    await run.execute_update("set_limits", {"request": "2", "hours": 24.0}, result_type=str)
    await asyncio.sleep(5)  # the hours of the start are over then
    await run.execute_update("resume", on(script, "3"))
    report = await asyncio.wait_for(run.result(), 60)
    assert (report["outcome"], script.ended) == ("done", [])


@pytest.mark.parametrize("moment", ["while the check runs", "while the turn is thought about"])
async def test_a_planner_that_said_done_in_time_is_done_though_the_hours_end_at_its_guard(
    script: Script, moment: str
) -> None:
    deadline = time.time() + 6
    never = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.final is not None:
            await never.wait()
        if order.turn == 2 and moment == "while the check runs":
            script.checking.clear()
        return await one_task(order)

    script.plan = plan
    script.context_update = {"deadline": deadline}
    run = await script.start()
    async with asyncio.timeout(60):
        while time.time() < deadline + 0.5:  # noqa: ASYNC110 - the deadline is what is waited for
            await asyncio.sleep(0.1)
    script.checking.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert script.stored[script.turns[0].me].status is HandoffStatus.DONE


async def test_a_guards_check_runs_once_however_often_its_turn_is_parked(script: Script) -> None:
    parked: list[PlanTurn] = []

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.final is not None and len(parked) < 3:
            parked.append(order)
            until = time.time() + 0.5
            return TurnOutcome(decision=Decision.SUSPENDED, seq=order.from_seq, own=Amount(), until=until)
        return await one_task(order)

    script.plan = plan
    assert (await asyncio.wait_for((await script.start()).result(), 60))["outcome"] == "done"
    assert len(script.checks) == 2, "once for the guard, once at the run's end"
    assert {turn.key for turn in parked} == {parked[0].key}


async def test_a_resume_of_a_paused_run_whose_root_failed_lifts_the_pause_too(script: Script) -> None:
    fixed = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        return await one_task(order) if fixed.is_set() else outcome(order, Decision.GAVE_UP, why="no usable reply")

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "needs_attention")
    await run.execute_update("pause", on(script))
    fixed.set()
    answer = await run.execute_update("resume", on(script, "2"))
    assert answer == f"{script.name} is resumed with another root planner, its pause is lifted"
    assert (await run.query("control"))["paused"] == {}
    assert (await asyncio.wait_for(run.result(), 60))["outcome"] == "done"


ORDERS: list[tuple[str, dict[str, Any], str]] = [
    ("pause", {"target": "another"}, "is not of run"),
    ("resume", {"target": "another/root"}, "is not of run"),
    ("set_limits", {}, "names no limit"),
    ("amend", {"text": "Use tabs."}, "at most 100 amendments"),
]


async def until_noted(run: WorkflowHandle[Any, Any], text: str) -> str:
    """The note of the run that says so."""
    async with asyncio.timeout(60):
        while True:
            for note in (await run.query("status"))["notes"]:
                if text in note:
                    return str(note)
            await asyncio.sleep(0.1)


async def test_a_signalled_order_passes_the_validator_of_its_update(cached_script: Script) -> None:
    script, release = cached_script, asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    script.plan, script.work = one_task, work
    run = await script.start()
    await script.until_asked(1)
    for number in range(101):
        await run.signal("amend", {"request": f"a{number}", "text": "Use tabs."})
    await until_noted(run, "order a100 was refused")
    for request, (name, order, said) in enumerate(ORDERS):
        await run.signal(name, {"request": f"r{request}", **order})
        assert said in await until_noted(run, f"order r{request} was refused")
    release.set()
    await asyncio.wait_for(run.result(), 60)
    assert len(script.amendments) == 100
    assert (await run.query("control"))["paused"] == {}
