"""A run from its input to its report, on the real server."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from headway.domain.handoff import HandoffStatus
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn


async def three_tasks(order: PlanTurn) -> TurnOutcome:
    """Three tasks, then done, said twice because the first time is answered with the facts."""
    if order.turn == 1:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "one", "two", "three"))
    return finish(order)


async def test_a_run_ends_done_when_its_tasks_are_done_and_the_check_passes(script: Script) -> None:
    script.plan = three_tasks
    run = await script.start()
    report = await run.result()
    assert report["outcome"] == "done"
    assert sorted(order.title for order in script.orders) == ["one", "three", "two"]
    taken = [notice.child for turn in script.turns for notice in turn.inbox]
    assert len(taken) == len(set(taken)) == 3


async def test_the_first_finish_done_is_answered_once_with_the_check(script: Script) -> None:
    script.plan = three_tasks
    await (await script.start()).result()
    finals = [turn.final for turn in script.turns if turn.final is not None]
    assert len(finals) == 1
    assert finals[0].verdict is not None
    assert len(script.checks) == 2, "once at the finish guard, once at the run's end"


async def test_a_run_whose_final_check_fails_is_partial_whatever_the_planner_says(script: Script) -> None:
    script.plan = three_tasks
    script.passes = False
    report = await (await script.start({"check": "false"})).result()
    assert report["outcome"] == "partial"


async def test_a_run_without_a_check_is_done_unproven(script: Script) -> None:
    script.plan = three_tasks
    script.passes = False
    report = await (await script.start()).result()
    assert report["outcome"] == "done_unproven"


async def test_a_sub_planner_hands_up_what_its_tasks_did(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.depth == 1 and order.turn == 1:
            below = spawn(order, "the parser", kind=ChildKind.PLANNER)
            return outcome(order, Decision.WAIT, spawned=below)
        if order.depth == 2 and order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "lexer", "grammar"))
        return finish(order)

    script.plan = plan
    report = await (await script.start()).result()
    assert report["outcome"] == "done"
    by_planner = script.by_planner()
    assert len(by_planner) == 2
    assert report["spent"]["tasks"] == 2


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        pytest.param((), "input: must be one JSON object", id="no input"),
        pytest.param(([1, 2],), "got a list", id="a list"),
        pytest.param(({"repo": "x", "instructions": "y"}, 5), "must be one JSON object, got 2", id="two inputs"),
        pytest.param(({"instructions": "y"},), "repo: is required", id="no repo"),
        pytest.param(({"repo": "x", "instructions": " "},), "instructions: must not be empty", id="empty instructions"),
        pytest.param(
            ({"repo": "x", "instructions": "y", "limits": {"tokens": -1}},), "limits.tokens: must be", id="negative"
        ),
        pytest.param(({"repo": "x", "instructions": "y", "lmits": {}},), "did you mean 'limits'?", id="unknown field"),
        pytest.param(({"headway.continued": {}},), "headway.continued: is not a field", id="somebody else's state"),
    ],
)
async def test_bad_input_fails_the_run_at_once_with_one_readable_message(
    script: Script, inputs: tuple[Any, ...], said: str
) -> None:
    run = await script.start_with(*inputs)
    with pytest.raises(WorkflowFailureError) as failure:
        await run.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert said in cause.message
    assert not script.turns


async def test_an_id_that_cannot_name_a_branch_is_refused(script: Script) -> None:
    run = await script.start(name=f"{script.name}..x")
    with pytest.raises(WorkflowFailureError) as failure:
        await run.result()
    assert "must not contain '..'" in str(failure.value.cause)


async def test_the_same_name_twice_is_refused_by_the_server(script: Script) -> None:
    await (await script.start()).result()
    with pytest.raises(WorkflowAlreadyStartedError):
        await script.start()


async def test_two_runs_on_one_worker_process_do_not_touch(script: Script) -> None:
    script.plan = three_tasks
    runs = [await script.start(), await script.start(name=f"{script.name}-b")]
    reports = [await run.result() for run in runs]
    assert [report["outcome"] for report in reports] == ["done", "done"]
    assert len({order.me for order in script.orders}) == 6


async def test_a_root_planner_that_is_blocked_makes_the_run_partial(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        return finish(order, HandoffStatus.BLOCKED)

    script.plan = plan
    assert (await (await script.start()).result())["outcome"] == "partial"


async def test_queries_show_the_tree_while_it_runs_and_after(script: Script) -> None:
    script.plan = three_tasks
    run = await script.start()
    await run.result()
    tree = await run.query("tree")
    assert [child["state"] for child in tree["children"]] == ["done"] * 3
    status = await run.query("status")
    assert (status["phase"], status["outcome"]) == ("closed", "done")
