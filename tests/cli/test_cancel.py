"""`headway cancel` on the real server, with agents that wait for ever."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.support.command import headway
from tests.workflows.scripted import Script, finish, outcome, spawn


async def three_levels(order: PlanTurn) -> TurnOutcome:
    """Two planners below the root, three tasks below each."""
    if order.turn > 1:
        return finish(order)
    if order.depth < 2:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "left", "right", kind=ChildKind.PLANNER))
    return outcome(order, Decision.WAIT, spawned=spawn(order, "one", "two", "three"))


async def for_ever(order: WorkOrder) -> WorkerDone:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
async def script(client: Client, home: Path) -> AsyncIterator[Script]:
    (home / "runs" / "tidy-up").mkdir(parents=True)
    script = Script(client, "tidy-up")
    script.plan, script.work = three_levels, for_ever
    async with script.working():
        yield script


async def test_cancel_ends_the_whole_tree_and_says_when_it_is_down(home: Path, script: Script) -> None:
    run = await script.start()
    await script.until_asked(6)

    said = await headway(home, "cancel", "tidy-up", "--why", "wrong branch")

    assert said.code == 0, said
    assert "10 still up" in said.out
    assert "tidy-up is down" in said.out
    description = await run.describe()
    assert description.status is WorkflowExecutionStatus.CANCELED
    assert set(script.handed.values()) == {HandoffStatus.CANCELLED}
    reasons = [
        event.workflow_execution_cancel_requested_event_attributes.cause
        for event in (await run.fetch_history()).events
        if event.HasField("workflow_execution_cancel_requested_event_attributes")
    ]
    assert reasons == ["wrong branch"]

    again = await headway(home, "cancel", "tidy-up")
    assert "is closed already: cancelled" in again.refusal
    for command in (("status",), ("status", "tidy-up"), ("rm", "tidy-up")):
        shown = (await headway(home, *command)).out
        assert "cancelled" in shown
        assert "canceled" not in shown.lower()


async def test_what_is_not_down_in_time_is_named_with_the_operators_command(home: Path, script: Script) -> None:
    await script.start()
    await script.until_asked(6)

    said = await headway(home, "cancel", "tidy-up", "--wait", "0")

    assert said.code == 1, said
    assert "  tidy-up/root-" in said.out
    assert "temporal workflow terminate --query \"RootWorkflowId='tidy-up' AND ExecutionStatus='Running'\"" in said.out
    assert (await headway(home, "cancel", "tidy-up")).code == 0, "a second cancel of the same run waits for the first"


async def test_a_run_whose_agents_outlive_it_is_told_with_the_way_to_end_them(home: Path, script: Script) -> None:
    run = await script.start()
    await script.until_asked(6)
    await run.terminate()

    message = (await headway(home, "cancel", "tidy-up")).refusal

    assert "closed already (terminated). Still up: 9 agents." in message
    assert "temporal workflow cancel --query" in message


async def test_an_unknown_run_is_told(home: Path, client: Client) -> None:
    assert "There is no run named 'nobody'" in (await headway(home, "cancel", "nobody")).refusal
    assert "is not a run's name" in (await headway(home, "cancel", "no'body")).refusal


async def test_without_a_worker_process_the_cancel_is_kept_and_that_is_told(home: Path, client: Client) -> None:
    run = await client.start_workflow("Run", {"repo": "/x", "instructions": "x"}, id="alone", task_queue="headway")

    message = (await headway(home, "cancel", "alone")).refusal

    assert "takes effect when one starts" in message
    assert (await run.describe()).raw_description.workflow_extended_info.cancel_requested


async def test_a_root_planner_that_was_reset_in_a_parked_run_is_cancelled_too(home: Path, script: Script) -> None:
    failing = {"now": True}

    async def plan(order: PlanTurn) -> TurnOutcome:
        if failing["now"]:
            return outcome(order, Decision.GAVE_UP, why="it repeats itself")
        return outcome(order, Decision.WAIT, spawned=spawn(order, "one"))

    script.plan = plan
    run = await script.start()
    while (await run.query("status"))["phase"] != "needs_attention":  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.1)
    failing["now"] = False
    assert (await headway(home, "reset", "tidy-up", "--turn", "1", "--yes")).code == 0
    await script.until_asked(1)

    said = await headway(home, "cancel", "tidy-up")

    assert said.code == 0, said
    assert list(script.handed.values()) == [HandoffStatus.CANCELLED]
