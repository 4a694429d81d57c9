"""A model that refuses everybody: agents hold no slot, come back by a timer, the run says so. On the real server."""

import asyncio
import time
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done

HOUR = 3600.0


async def one_round(turn: PlanTurn) -> TurnOutcome:
    return outcome(turn, Decision.WAIT, spawned=spawn(turn, "a", "b")) if turn.turn == 1 else finish(turn)


def parked_once(script: Script, seconds: float) -> list[float]:
    """Each worker finds its model closed the first time; when each asked."""
    asked: list[float] = []
    seen: set[str] = set()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        asked.append(time.time())
        if order.me in seen:
            return worker_done(order)
        seen.add(order.me)
        return WorkerSuspended(why="parked", until=time.time() + seconds)

    script.plan, script.work = one_round, work
    return asked


async def until_parked(script: Script, count: int) -> None:
    """Return when the tasks of so many workers wait for the reset."""
    await script.until_asked(count)
    async with asyncio.timeout(60):
        for agent in {order.me for order in script.orders}:
            task = script.client.get_workflow_handle(agent)
            while not (await task.query("status"))["parked_until"]:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)


async def test_a_parked_worker_holds_no_slot_and_is_asked_again_at_the_reset(script: Script) -> None:
    asked = parked_once(script, 2)
    run = await script.start()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert len(asked) == 4
    assert min(asked[2:]) >= min(asked) + 2
    assert {order.attempt for order in script.orders} == {1}, "no attempt was used up by it"


async def test_a_parked_planner_takes_its_turn_at_the_reset(script: Script) -> None:
    begun: list[float] = []

    async def plan(turn: PlanTurn) -> TurnOutcome:
        begun.append(time.time())
        if len(begun) == 1:
            return TurnOutcome(decision=Decision.SUSPENDED, seq=turn.from_seq, own=Amount(), until=time.time() + 2)
        return finish(turn)

    script.plan = plan
    run = await script.start()
    await asyncio.wait_for(run.result(), 60)
    assert begun[1] >= begun[0] + 2
    assert script.turns[0].key == script.turns[1].key, "the same turn"


async def test_whoever_pauses_and_resumes_has_the_parked_try_now(script: Script) -> None:
    parked_once(script, HOUR)
    run = await script.start()
    await until_parked(script, 2)
    await run.execute_update("pause", {"request": "1", "target": script.name})
    await run.execute_update("resume", {"request": "2", "target": script.name})
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"


async def test_another_limit_of_dollars_an_hour_has_the_parked_try_now_under_it(script: Script) -> None:
    parked_once(script, HOUR)
    run = await script.start()
    await until_parked(script, 2)
    said = await run.execute_update("set_limits", {"request": "1", "usd_per_hour": "none"}, result_type=str)
    assert "any number of them an hour" in said
    lifted = {"usd_per_hour": "none"}
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert [order.context.limits for order in script.orders] == [{}, {}, lifted, lifted]
    assert script.turns[-1].context.limits == lifted


async def test_hours_that_are_prolonged_let_the_parked_wait_on(script: Script) -> None:
    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.context.limits:
            return worker_done(order)
        return WorkerSuspended(why="parked", until=time.time() + HOUR)

    script.plan, script.work = one_round, work
    script.context_update = {"deadline": time.time() + 60}
    run = await script.start()
    await until_parked(script, 2)
    assert await latest(script) < time.time() + 60
    await run.execute_update("set_limits", {"request": "1", "hours": 24.0}, result_type=str)
    await until_parked(script, 4)
    async with asyncio.timeout(30):
        while await latest(script) < time.time() + HOUR - 100:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    await run.execute_update("set_limits", {"request": "2", "usd_per_hour": "none"}, result_type=str)
    assert (await asyncio.wait_for(run.result(), 60))["outcome"] == "done"


async def latest(script: Script) -> float:
    """When the last of the tasks that wait is to go on."""
    tasks = [script.client.get_workflow_handle(agent) for agent in {order.me for order in script.orders}]
    waits: list[float] = [(await task.query("status"))["parked_until"] for task in tasks]
    return max(waits)


async def test_a_parked_worker_is_cancelled_at_once(script: Script) -> None:
    parked_once(script, HOUR)
    run = await script.start()
    await until_parked(script, 2)
    await run.cancel()
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(run.result(), 60)
    assert len(script.ended) == 2
    assert {end.status for end in script.ended} == {HandoffStatus.CANCELLED}


async def test_the_runs_hours_end_a_park(script: Script) -> None:
    script.context_update = {"deadline": time.time() + 4}
    asked = parked_once(script, HOUR)
    run = await script.start()
    await asyncio.wait_for(run.result(), 60)
    assert len(asked) == 4, "asked once more, to hand off what there is"


def parking(generation: int, *, parked: bool, until: float = 2e9, **more: Any) -> dict[str, Any]:
    told = {"endpoint": "http://here/v1", "model": "m", "why": "no quota left", "remedy": "Raise it."}
    return told | {"generation": generation, "parked": parked, "since": 1e9 + generation, "until": until} | more


async def test_the_runs_status_says_that_it_is_parked_why_and_until_when_and_when_it_went_on(script: Script) -> None:
    leave = asyncio.Event()

    async def plan(turn: PlanTurn) -> TurnOutcome:
        await leave.wait()
        return finish(turn)

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "running")
    await run.signal("parking", parking(3, parked=True))
    await run.signal("parking", parking(2, parked=False))  # of a process that heard later of less
    status = await run.query("status")
    assert [(each["why"], each["until"]) for each in status["parked"]] == [("no quota left", 2e9)]
    assert status["went_on"] is None
    assert [note for note in status["notes"] if "no quota left" in note and "Raise it." in note]
    await run.signal("parking", parking(3, parked=False))
    status = await run.query("status")
    assert (status["parked"], status["went_on"]) == ([], 1e9 + 3)
    assert not [note for note in status["notes"] if "quota" in note]
    leave.set()
    await asyncio.wait_for(run.result(), 60)
