"""`headway limits` and `headway amend` on the real server."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control
from tests.support.command import headway
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done

ENOUGH = 700_000


@pytest.fixture
def hungry(client: Client, home: Path) -> Script:
    """A run whose one task needs more than the run may use."""
    (home / "runs" / "tidy-up").mkdir(parents=True)
    script = Script(client, "tidy-up")

    async def plan(order: PlanTurn) -> TurnOutcome:
        return finish(order) if order.turn > 1 else outcome(order, Decision.WAIT, spawned=spawn(order, "one"))

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.granted.tokens < ENOUGH and order.more:
            spent = Amount(tokens=order.granted.tokens - 10, tasks=1)
            return WorkerSuspended(why="grant", spent=spent, need=Amount(tokens=1000))
        done = order.granted.tokens >= ENOUGH
        return worker_done(order, HandoffStatus.DONE if done else HandoffStatus.PARTIAL, tokens=order.granted.tokens)

    script.plan, script.work = plan, work
    script.budget = Amount(tokens=500_000, tasks=10)
    return script


async def test_a_run_at_its_limit_holds_says_how_to_raise_it_and_goes_on_when_it_is_raised(
    home: Path, hungry: Script
) -> None:
    async with hungry.working():
        run = await hungry.start()
        await asyncio.wait_for(hungry.until_phase(run, "hold"), 30)
        status = await run.query("status")
        assert status["granted"] == {"tokens": 500_000, "tasks": 10, "usd": "none"}
        command = "headway limits tidy-up --tokens 1000000"
        assert any(f"`{command}`" in note for note in status["notes"])
        asked = len(hungry.orders)

        said = await headway(home, *command.split()[1:], "--why", "go on")
        assert said.code == 0
        assert said.out.startswith("the run may use 1,000,000 tokens, 10 tasks, any number of dollars")
        report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert len(hungry.orders) > asked


async def test_a_hold_that_nobody_ends_ends_the_run_with_what_there_is(hungry: Script) -> None:
    hungry.context_update = {"hold_s": 2.0}
    async with hungry.working():
        await asyncio.wait_for((await hungry.start()).result(), 60)
    assert [order.more for order in hungry.orders][-2:] == [True, False]
    assert list(hungry.handed.values()) == [HandoffStatus.PARTIAL]


async def test_a_lowered_limit_takes_back_what_is_at_work(home: Path, client: Client) -> None:
    (home / "runs" / "tidy-up").mkdir(parents=True)
    script = Script(client, "tidy-up")

    async def plan(order: PlanTurn) -> TurnOutcome:
        return finish(order) if order.turn > 1 else outcome(order, Decision.WAIT, spawned=spawn(order, "one"))

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        """As an agent does at its next step, when the control record is newer than what it was asked with."""
        if order.granted.tokens == 150_000:
            while order.renewed == (await run.query("control", result_type=Control)).renewed:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            return WorkerSuspended(why="held", spent=Amount(tokens=50_000, tasks=1))
        return worker_done(order, tokens=order.granted.tokens)

    script.plan, script.work = plan, work
    async with script.working():
        run = await script.start()
        await script.until_asked(1)
        assert script.orders[0].granted.tokens == 150_000
        said = await headway(home, "limits", "tidy-up", "--tokens", "50000")
        assert said.out.startswith("the run may use 50,000 tokens")
        await asyncio.wait_for(script.until_phase(run, "hold"), 30)
        assert (await run.query("status"))["granted"]["tokens"] == 50_000
        assert {order.granted.tokens for order in script.orders} == {150_000}, "nothing was granted again"
        await headway(home, "limits", "tidy-up", "--tokens", "115000")
        report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert max(order.granted.tokens for order in script.orders[1:]) <= 115_000


async def test_an_amendment_is_stored_and_goes_to_every_later_turn_and_task(home: Path, hungry: Script) -> None:
    async with hungry.working():
        run = await hungry.start()
        await asyncio.wait_for(hungry.until_phase(run, "hold"), 30)
        said = await headway(home, "amend", "tidy-up", "Leave the old endpoint alone.")
        assert said.out.startswith("amendment 1 recorded")
        assert [order.text for order in hungry.amendments] == ["Leave the old endpoint alone."]
        (amended,) = (await run.query("control", result_type=Control)).amendments
        assert "@" in amended.who
        await headway(home, "limits", "tidy-up", "--tokens", "2000000")
        await asyncio.wait_for(run.result(), 60)
    assert hungry.orders[-1].amendments == hungry.turns[-1].amendments == (amended.seq,)


async def test_the_same_request_counts_once_by_update_and_by_signal(hungry: Script) -> None:
    order = {"request": "1", "text": "Mind the gap."}
    async with hungry.working():
        run = await hungry.start()
        await asyncio.wait_for(hungry.until_phase(run, "hold"), 30)
        first = await run.execute_update("amend", order, result_type=str)
        await run.signal("amend", order)
        assert await run.execute_update("amend", order, result_type=str) == first
        raised = {"request": "2", "tokens": 2_000_000}
        await run.signal("set_limits", raised)
        await run.execute_update("set_limits", raised, result_type=str)
        await asyncio.wait_for(run.result(), 60)
    assert len(hungry.amendments) == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["limits", "tidy-up"], "No limit is named"),
        (["limits", "tidy-up", "--tokens", "many"], "--tokens: 'many' is not a number above 0, nor 'none'"),
        (["limits", "tidy-up", "--tokens", "1.5"], "--tokens: '1.5' is not a whole number"),
        (["limits", "tidy-up", "--hours", "9999"], "hours: "),
        (["limits", "tidy-up", "--usd", "5"], "no limit in dollars can be kept"),
        (["limits", "tidy-up", "--usd-per-hour", "5"], "limits.usd_per_hour: a model of this run has no price"),
        (["amend", "tidy-up", " "], "text: "),
        (["amend", "nobody", "x"], "nobody"),
    ],
)
async def test_what_makes_no_sense_is_refused(home: Path, hungry: Script, words: list[str], problem: str) -> None:
    async with hungry.working():
        await hungry.start()
        assert problem in (await headway(home, *words)).refusal
