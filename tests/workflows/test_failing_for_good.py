"""Every activity of every workflow type fails for good in turn: no workflow fails, agents hand off, the run reports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.workflows.faults import WHY, FailsForGood
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done

Report = dict[str, Any]


async def two_levels(order: PlanTurn) -> TurnOutcome:
    """A task and a sub-planner with a task; both planners finish when everything is in."""
    if order.turn > 1:
        return finish(order)
    if order.depth > 1:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "below"))
    both = spawn(order, "sub", kind=ChildKind.PLANNER) + spawn(order, "x", "beside")[1:]
    return outcome(order, Decision.WAIT, spawned=both)


@asynccontextmanager
async def playing(client: Client, name: str, *faults: FailsForGood) -> AsyncIterator[Script]:
    """A run of two levels with these faults."""
    script = Script(client, name)
    script.plan, script.faults = two_levels, [*faults]
    async with script.working():
        yield script


async def ended(run: WorkflowHandle[Any, Any]) -> Report:
    report: Report = await asyncio.wait_for(run.result(), 60)
    return report


async def prove_no_workflow_failed(script: Script) -> None:
    """Each workflow of the run comes to its own end."""
    ids = f"(WorkflowId = '{script.name}' OR WorkflowId STARTS_WITH '{script.name}/')"
    async with asyncio.timeout(20):
        while (await script.client.count_workflows(f"{ids} AND ExecutionStatus = 'Running'")).count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert not (await script.client.count_workflows(f"{ids} AND ExecutionStatus != 'Completed'")).count


def handed_up(script: Script) -> dict[AgentId, HandoffStatus]:
    """How every agent ended, as it was stored."""
    stored = {agent: order.status for agent, order in script.stored.items()}
    return {**stored, **script.handed}


async def test_a_check_that_cannot_be_run_is_a_verdict_and_the_run_is_unproven(client: Client, name: str) -> None:
    async with playing(client, name, FailsForGood("run_check")) as script:
        report = await ended(await script.start())
        await prove_no_workflow_failed(script)
        assert report["outcome"] == "done_unproven"
        assert report["check"]["why"] == f"could not be run: {WHY}"
        finals = [turn.final.verdict for turn in script.turns if turn.final is not None]
        assert [verdict is not None and not verdict.ran for verdict in finals] == [True, True]


async def test_a_check_that_can_be_run_later_proves_the_run(client: Client, name: str) -> None:
    faults = FailsForGood("run_check", most=3)  # at both guards, and once at the end
    async with playing(client, name, faults) as script:
        assert (await ended(await script.start()))["outcome"] == "done"
        assert faults.failed == 3


async def test_a_trunk_that_cannot_be_published_is_a_note_and_is_tried_again(client: Client, name: str) -> None:
    faults = FailsForGood("publish")
    async with playing(client, name, faults) as script:
        run = await script.start()
        report = await ended(run)
        await prove_no_workflow_failed(script)
        assert report["outcome"] == "done", "proven, though its user does not have it"
        assert faults.failed > 1
        assert any(WHY in note for note in (await run.query("status"))["notes"])


async def test_a_report_that_cannot_be_written_closes_the_run_with_what_it_knows(client: Client, name: str) -> None:
    async with playing(client, name, FailsForGood("write_report")) as script:
        report = await ended(await script.start())
        await prove_no_workflow_failed(script)
        assert (report["outcome"], report["commits"]) == ("done", None)
        assert WHY in report["summary"]
        assert report["spent"]["tasks"] == 2


async def until_noted(workflow: WorkflowHandle[Any, Any]) -> None:
    """Return when a workflow's notes tell of the failure."""
    async with asyncio.timeout(60):
        while not any(WHY in note for note in (await workflow.query("status"))["notes"]):  # noqa: ASYNC110 - told when asked
            await asyncio.sleep(0.1)


async def test_an_audit_that_fails_is_tried_again(client: Client, name: str) -> None:
    faults = FailsForGood("describe_children")
    think, release = asyncio.Event(), asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        await think.wait()  # a planner that thinks says nothing: its run looks whether it is still there
        return await two_levels(order)

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    async with playing(client, name, faults) as script:
        script.plan, script.work, script.context_update = plan, work, {"audit_s": 1}
        run = await script.start()
        await until_noted(run)
        think.set()
        await script.until_asked(2)
        await until_noted(client.get_workflow_handle(script.turns[0].me))
        assert faults.failed > 1
        release.set()
        assert (await ended(run))["outcome"] == "done"
        await prove_no_workflow_failed(script)


async def test_a_handoff_is_stored_however_often_that_fails(client: Client, name: str) -> None:
    faults = FailsForGood("store_handoff", most=5)
    async with playing(client, name, faults) as script:
        assert (await ended(await script.start()))["outcome"] == "done"
        await prove_no_workflow_failed(script)
        assert faults.failed == 5
        assert set(handed_up(script).values()) == {HandoffStatus.DONE}


async def test_the_handoff_of_a_child_that_never_starts_holds_up_nothing_else(client: Client, name: str) -> None:
    """The store refuses the handoffs of dropped children; their planner goes on, and drops them later."""
    faults = FailsForGood("store_handoff", most=4)

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *(f"task {n}" for n in range(6))))
        return finish(order)

    async with playing(client, name, faults) as script:
        script.plan, script.context_update = plan, {"hold_s": 1.0}
        script.budget = script.budget.model_copy(update={"tokens": 500_000})
        script.work = taking_all
        await ended(await script.start())
        await prove_no_workflow_failed(script)
        taken = [notice.child for turn in script.turns for notice in turn.inbox]
        assert len(set(taken)) + len([o for o in script.stored.values() if o.role == "worker"]) >= 6


async def taking_all(order: WorkOrder) -> WorkerDone:
    return worker_done(order, HandoffStatus.PARTIAL, tokens=order.granted.tokens)


@pytest.mark.parametrize("ends", [True, False], ids=["end_worker works", "end_worker fails too"])
async def test_a_worker_that_fails_for_good_hands_off(client: Client, name: str, *, ends: bool) -> None:
    async with playing(
        client, name, FailsForGood("run_worker"), FailsForGood("end_worker", most=0 if ends else 9)
    ) as script:
        report = await ended(await script.start())
        assert report["outcome"] == "done"
        await prove_no_workflow_failed(script)
        told = [notice.status for turn in script.turns for notice in turn.inbox if turn.depth > 1]
        assert told == [HandoffStatus.FAILED]
        by_store = [order for order in script.stored.values() if order.role == "worker"]
        assert (len(script.ended), len(by_store)) == ((2, 0) if ends else (0, 2))
        assert all("could not be kept" in order.why for order in by_store)


async def test_a_turn_that_fails_for_good_is_a_failed_handoff(client: Client, name: str) -> None:
    faults = FailsForGood("plan_turn")
    async with playing(client, name, faults) as script:
        run = await script.start()
        await asyncio.wait_for(script.until_phase(run, "needs_attention"), 60)
        [failed] = script.stored.values()
        assert (failed.status, failed.why) == (HandoffStatus.FAILED, WHY)
        faults.activity = ""
        await run.execute_update("resume", {"request": "1", "target": name})
        assert (await ended(run))["outcome"] == "done"
        await prove_no_workflow_failed(script)


async def test_a_root_planner_is_replaced_also_when_it_cannot_be_told_why(client: Client, name: str) -> None:
    async with playing(client, name, FailsForGood("write_note")) as script:
        fixed = asyncio.Event()

        async def plan(order: PlanTurn) -> TurnOutcome:
            return finish(order) if fixed.is_set() else outcome(order, Decision.GAVE_UP, why="no usable reply")

        script.plan = plan
        run = await script.start()
        await asyncio.wait_for(script.until_phase(run, "needs_attention"), 60)
        fixed.set()
        await run.execute_update("resume", {"request": "1", "target": name})
        assert (await ended(run))["outcome"] == "done"
        await prove_no_workflow_failed(script)
        assert any(WHY in note for note in (await run.query("status"))["notes"])


async def test_an_amendment_that_cannot_be_stored_is_refused(client: Client, name: str) -> None:
    release = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    async with playing(client, name, FailsForGood("write_amendment")) as script:
        script.work = work
        run = await script.start()
        await script.until_asked(2)
        answer = await run.execute_update("amend", {"request": "1", "text": "Use tabs."})
        assert "could not be stored" in answer
        assert WHY in answer
        release.set()
        assert (await ended(run))["outcome"] == "done"
        await prove_no_workflow_failed(script)


async def test_only_a_run_that_cannot_be_prepared_fails_with_one_readable_message(client: Client, name: str) -> None:
    """Nothing has begun that could be lost."""
    async with playing(client, name, FailsForGood("prepare_run")) as script:
        run = await script.start()
        with pytest.raises(WorkflowFailureError) as failure:
            await run.result()
        cause = failure.value.cause
        assert isinstance(cause, ApplicationError)
        assert cause.message == f"the run cannot start: {WHY}"


async def test_a_cancelled_run_ends_and_reports_though_nothing_can_be_stored_or_ended_at_first(
    client: Client, name: str
) -> None:
    """The failure of an effect after a cancellation is no cancellation."""
    faults = [FailsForGood("store_handoff", most=3), FailsForGood("end_worker"), FailsForGood("publish")]
    never = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await never.wait()
        return worker_done(order)

    async with playing(client, name, *faults) as script:
        script.work = work
        run = await script.start()
        await script.until_asked(2)
        await run.cancel()
        with pytest.raises(WorkflowFailureError):
            await ended(run)
        assert (await run.describe()).status is WorkflowExecutionStatus.CANCELED
        assert len(script.stored) == 4, "two planners and two workers"
        assert set(handed_up(script).values()) == {HandoffStatus.CANCELLED}


async def test_a_limit_is_set_though_what_is_used_cannot_be_measured(client: Client, name: str) -> None:
    """It goes by what agents have told."""
    faults, release = FailsForGood("measure_spent"), asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await release.wait()
        return worker_done(order)

    async with playing(client, name, faults) as script:
        script.work = work
        run = await script.start()
        await script.until_asked(2)
        await run.execute_update("set_limits", {"request": "1", "tasks": 77})
        assert faults.failed > 0
        assert (await run.query("status"))["granted"]["tasks"] == 77
        release.set()
        assert (await ended(run))["outcome"] == "done"
        await prove_no_workflow_failed(script)
