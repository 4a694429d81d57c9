"""`headway pause` and `headway resume` on the real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.control import Control
from headway.runs.short_ids import short_id
from tests.support.command import headway
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


@pytest.fixture
def script(client: Client, home: Path) -> Script:
    """A run of one planner whose task waits until it is let go."""
    (home / "runs" / "tidy-up").mkdir(parents=True)
    return Script(client, "tidy-up")


@pytest.fixture
async def let_go(script: Script) -> AsyncIterator[asyncio.Event]:
    let_go = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        return finish(order) if order.turn > 1 else outcome(order, Decision.WAIT, spawned=spawn(order, "one"))

    async def work(order: WorkOrder) -> WorkerDone:
        await let_go.wait()
        return worker_done(order)

    script.plan, script.work = plan, work
    async with script.working():
        yield let_go


async def test_a_paused_run_takes_no_turn_until_it_is_resumed(
    home: Path, script: Script, let_go: asyncio.Event
) -> None:
    run = await script.start()
    await script.until_asked(1)

    paused = await headway(home, "pause", "tidy-up", "--why", "lunch")
    assert (paused.code, paused.out) == (0, "tidy-up is paused: it holds at the next step of each agent\n")
    record = await run.query("control", result_type=Control)
    (hold,) = record.paused.values()
    assert hold.why == "lunch"
    assert "@" in hold.who
    let_go.set()
    await script.until_handed(1)
    assert len(script.turns) == 1

    resumed = await headway(home, "resume", "tidy-up")
    assert (resumed.code, resumed.out) == (0, "tidy-up is resumed\n")
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert "is closed (completed)" in (await headway(home, "pause", "tidy-up")).refusal


async def test_one_agent_can_be_held_by_its_id_with_or_without_the_runs_name(
    home: Path, script: Script, let_go: asyncio.Event
) -> None:
    run = await script.start()
    await script.until_asked(1)
    agent = script.orders[0].me

    said = await headway(home, "pause", "tidy-up", agent.removeprefix("tidy-up/"), "--now")
    assert said.out == f"{agent} is paused: it holds at once\n"
    record = await run.query("control", result_type=Control)
    assert record.paused[agent].now
    assert (await headway(home, "resume", "tidy-up", agent)).out == f"{agent} is resumed\n"
    short = short_id(agent)
    assert (await headway(home, "pause", "tidy-up", short)).out.startswith(f"{agent} is paused")
    assert (await headway(home, "resume", "tidy-up", short.upper())).code == 0
    await headway(home, "pause", "tidy-up", "--why", "lunch")
    held = (await headway(home, "resume", "tidy-up", short)).refusal
    assert f"{short} is not paused itself: something above it is (lunch)." in held
    await headway(home, "resume", "tidy-up")
    assert "has no agent 'root-x'" in (await headway(home, "pause", "tidy-up", "root-x")).refusal
    assert "There is no run named 'nobody'" in (await headway(home, "pause", "nobody")).refusal

    let_go.set()
    await asyncio.wait_for(run.result(), 60)
    assert len(script.orders) == 1


async def test_a_run_of_another_state_folder_is_not_changed(
    home: Path, tmp_path: Path, script: Script, let_go: asyncio.Event
) -> None:
    run = await script.start()
    await script.until_asked(1)
    other = tmp_path / "other"
    other.mkdir()
    more = {"limits": ("--tokens", "9"), "amend": ("More.",)}
    for command in ("pause", "resume", "limits", "amend", "cancel", "reset", "rm"):
        refusal = (await headway(other, command, "tidy-up", *more.get(command, ()))).refusal
        assert f"does not live in {other}" in refusal or (command == "rm" and "has not ended" in refusal), refusal
    listed = await headway(other, "status")
    assert "another state folder" in listed.out
    assert f"state folder {other}" in listed.err
    assert (await run.query("control", result_type=Control)).version == 0
    let_go.set()
    await asyncio.wait_for(run.result(), 60)
    assert "does not live in" in (await headway(other, "rm", "tidy-up")).refusal


async def test_without_a_worker_process_the_service_keeps_the_order(home: Path, client: Client, script: Script) -> None:
    run = await script.start()

    said = await headway(home, "pause", "tidy-up", "--why", "later")
    assert said.code == 0, said
    assert "No worker process answers" in said.out
    async with script.working():
        while not (await run.query("control", result_type=Control)).paused:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        assert (await headway(home, "resume", "tidy-up")).out == "tidy-up is resumed\n"
        await asyncio.wait_for(run.result(), 60)
