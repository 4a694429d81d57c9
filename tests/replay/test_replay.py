"""Every recorded history is repeated by the code of now, decision for decision; and a change is noticed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from headway.host.history import read_history, type_of
from headway.host.replayed import replay_each
from tests.replay.changed import CHANGED, BrokenPlanner
from tests.replay.recordings import FOLDER, kept, kinds, recorded
from workflows.replay import WORKFLOWS, replayer

HOW_TO = "Put the change behind workflow.patched(), or, before a release, record again: python -m tests.replay.record"
MOST_BYTES = 3_000_000

SHOWS = {
    "run-done": "ActivityTaskScheduled write_report",
    "run-bad-input": "WorkflowExecutionFailed",
    "run-cancelled": "WorkflowExecutionCanceled",
    "run-cancelled-while-parked": "WorkflowExecutionCanceled",
    "run-needs-attention": "ActivityTaskScheduled write_note",
    "run-paused": "WorkflowExecutionUpdateCompleted",
    "run-audits": "ActivityTaskScheduled describe_children",
    "run-continue-as-new": "WorkflowExecutionContinuedAsNew Run",
    "planner-simple": "ActivityTaskScheduled store_handoff",
    "planner-with-sub-planner": "StartChildWorkflowExecutionInitiated",
    "planner-continue-as-new": "WorkflowExecutionContinuedAsNew Planner",
    "planner-cancelled": "RequestCancelExternalWorkflowExecutionInitiated",
    "planner-reset-adopts": "ActivityTaskScheduled describe_children",
    "planner-reset-replans": "StartChildWorkflowExecutionInitiated",
    "planner-audit": "ActivityTaskScheduled describe_children",
    "planner-rests-and-cancels": "RequestCancelExternalWorkflowExecutionInitiated",
    "planner-whose-parent-is-closed": "RequestCancelExternalWorkflowExecutionInitiated",
    "planner-terminated": "WorkflowExecutionTerminated",
    "task-cancelled": "ActivityTaskScheduled end_worker",
    "task-ended-by-the-harness": "ActivityTaskScheduled end_worker",
}
"""What must be in a recording for it to be about what its name says."""


async def mismatch(player: Replayer, history: WorkflowHistory) -> str:
    """Where the code differs from the history; empty when it does not."""

    async def one() -> AsyncIterator[WorkflowHistory]:
        yield history

    return "".join([result.mismatch async for result in replay_each(player, one())])


@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.name.partition(".")[0])
async def test_a_recorded_history_replays(path: Path) -> None:
    assert await mismatch(replayer(), read_history(path)) == "", HOW_TO


@pytest.mark.parametrize(("name", "decision"), SHOWS.items())
def test_a_recording_shows_what_its_name_says(name: str, decision: str) -> None:
    assert decision in kinds(kept(name))


def test_every_workflow_type_is_recorded_and_the_recordings_stay_small() -> None:
    histories = [read_history(path) for path in recorded()]
    assert {type_of(history) for history in histories} == {workflow.__name__ for workflow in WORKFLOWS}
    assert sum(path.stat().st_size for path in recorded()) < MOST_BYTES
    assert {event.worker_may_ignore for history in histories for event in history.events} == {False}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("planner-simple", "event 5 ("),
        ("task-done", "scheduled event 'run_worker' does not match"),
        ("run-done", "event 5 ("),
        ("planner-continue-as-new-2", "event 6 ("),
    ],
)
async def test_a_changed_workflow_is_noticed_and_the_place_is_named(name: str, said: str) -> None:
    (path,) = (path for path in recorded() if path.name.partition(".")[0] == name)
    found = await mismatch(replayer(CHANGED), read_history(path))
    assert said in found
    assert "\n" not in found


async def test_code_that_raises_where_it_did_not_is_noticed() -> None:
    found = await mismatch(replayer((BrokenPlanner,)), read_history(FOLDER / "planner-simple.json"))
    assert "ExternalWorkflowExecutionNotFound" in found


async def test_a_history_of_another_type_is_no_success() -> None:
    assert "Task" in await mismatch(replayer((BrokenPlanner,)), read_history(FOLDER / "task-done.json"))


async def test_one_mismatch_does_not_hide_what_comes_after_it() -> None:
    names = ("planner-simple", "task-done", "planner-idle", "task-retried")

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for name in names:
            yield read_history(FOLDER / f"{name}.json")

    player = replayer((BrokenPlanner, WORKFLOWS[2]))
    found = [result.mismatch async for result in replay_each(player, histories())]
    assert [bool(text) for text in found] == [True, False, True, False]


async def test_a_workflow_for_which_no_code_has_run_yet_replays() -> None:
    whole = read_history(FOLDER / "planner-simple.json")
    for count in (1, 2, 3):
        assert await mismatch(replayer(CHANGED), WorkflowHistory(whole.workflow_id, whole.events[:count])) == ""


@pytest.mark.parametrize("count", [4, 5, 6, 7, 8, 9, 20, 40])
async def test_a_history_that_is_still_being_written_replays(count: int) -> None:
    whole = read_history(FOLDER / "planner-simple.json")
    assert await mismatch(replayer(), WorkflowHistory(whole.workflow_id, whole.events[:count])) == ""
