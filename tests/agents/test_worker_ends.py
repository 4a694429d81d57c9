"""How a worker's attempt ends: by limits, by guards, from outside; and what a second one finds."""

import asyncio
import time
from pathlib import Path

import pytest

from headway.domain.handoff import HandoffStatus
from headway.domain.headings import own_part
from headway.domain.messages import EndWorker, WorkerDone, WorkerSuspended
from headway.domain.state.budget import Amount
from headway.eventlog.views.figures import figures_of
from headway.rehearsal.playbook import Step
from tests.agents.stage import Stage, finish, git, say, step, use

TITLE = "Write a file"
WRITE = step(use("write_file", path="one.txt", content="one\n"))
LAND = step(use("land", message="Write one"))
LITTLE = Amount(tokens=23_000, tasks=1)
"""Tokens for one call and a last word."""


async def test_a_used_up_slice_suspends_and_goes_on_with_the_next(stage: Stage) -> None:
    rehearsal = stage.serve(tasks={TITLE: [WRITE, LAND, finish()]})
    order = stage.task()
    first = await stage.work(order.model_copy(update={"granted": Amount(tokens=23_000, tasks=1)}))
    assert isinstance(first, WorkerSuspended)
    assert first.spent is not None
    assert (first.why, first.spent.tokens < 11_500, first.need.tokens > 0) == ("grant", True, True)
    known = figures_of(stage.store, order.context.run).agents[order.me]
    assert (known.now.doing, known.total.calls) == ("queues", 1), "it holds no slot, and is not at work"
    again = await stage.work(order.model_copy(update={"granted": Amount(tokens=23_000, tasks=1) + first.need}))
    assert isinstance(again, WorkerSuspended)
    assert again.spent is not None
    assert again.spent.tokens > first.spent.tokens
    outcome, _ = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert rehearsal.report()["repeats"] == 0


async def test_without_more_to_come_the_work_is_handed_off_as_it_stands(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, WRITE, LAND]})
    outcome, handoff = await stage.done(stage.task().model_copy(update={"granted": LITTLE, "more": False}))
    assert (outcome.status, outcome.retry) == (HandoffStatus.PARTIAL, False)
    assert outcome.summary.startswith("budget")
    assert handoff.facts.harness_made.startswith("budget")
    assert git(stage.hub.folder, "show", f"{handoff.facts.wip}:one.txt") == "one"


async def test_the_hours_and_the_minutes_end_the_work(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limits={"task_minutes": 0.02}, deadline=1000.0)
    stage.serve(tasks={"Slow": [WRITE, step(use("shell", command="sleep 1.3")), LAND], "Late": [WRITE]})
    late = await stage.worker(lambda: 1000.0).work(stage.task("Late", 1), stage.beats.append)
    slow = await stage.worker(lambda: 0.0).work(stage.task("Slow", 2), stage.beats.append)
    assert isinstance(late, WorkerDone)
    assert isinstance(slow, WorkerDone)
    assert (late.status, late.summary.partition(":")[0]) == (HandoffStatus.PARTIAL, "hours")
    assert (slow.status, slow.summary.partition(":")[0]) == (HandoffStatus.PARTIAL, "minutes")
    assert stage.handoff(slow.ref).facts.active_s >= 1.3
    await stage.close()


@pytest.mark.parametrize(
    ("calls", "status", "retry", "why"),
    [
        ([say("Hm."), say("Well."), say("It works now.")], HandoffStatus.PARTIAL, False, "It works now."),
        ([Step(stop="empty", repeat=3)], HandoffStatus.FAILED, True, "empty"),
        ([Step(stop="refusal", text="No.", repeat=2)], HandoffStatus.FAILED, True, "refused"),
        ([step(use("shell", command="echo same"), repeat=7)], HandoffStatus.FAILED, True, "stalled"),
        ([WRITE], HandoffStatus.FAILED, True, "has no call 2"),
    ],
    ids=["mute", "empty", "refused", "stalled", "fatal"],
)
async def test_an_agent_that_cannot_go_on_ends_in_a_handoff(
    stage: Stage, calls: list[Step], status: HandoffStatus, retry: bool, why: str
) -> None:
    stage.serve(tasks={TITLE: calls})
    outcome, handoff = await stage.done(stage.task())
    assert (outcome.status, outcome.retry) == (status, retry)
    assert why in outcome.summary
    assert handoff.facts.harness_made


async def test_a_second_attempt_starts_afresh_and_knows_how_the_first_ended(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, Step(stop="empty", repeat=3)]})
    order = stage.task()
    first, _ = await stage.done(order)
    assert first.retry
    stage.serve(tasks={TITLE: [step(use("list_dir")), finish(status="not_needed")]})
    second, handoff = await stage.done(order.model_copy(update={"attempt": 2}))
    assert second.status is HandoffStatus.NOT_NEEDED
    assert handoff.facts.attempt == 2
    assert second.spent.tokens > first.spent.tokens
    told = stage.texts(order.me, "message")[1]
    assert own_part(told).startswith(f"Task: {TITLE} (attempt 2)\n")
    assert "Attempt 1 of this task ended as failed" in told
    kept = told.partition("What it had not landed: ")[2][:40]
    assert git(stage.hub.folder, "show", f"{kept}:one.txt") == "one"
    assert "one.txt" not in stage.texts(order.me, "tool.result")[-2]


async def test_a_setup_that_fails_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path, more={"setup": "echo no network; exit 3"})
    stage.serve(tasks={TITLE: [finish(status="blocked")]})
    order = stage.task()
    await stage.done(order)
    told = stage.texts(order.me, "message")[0]
    assert "`echo no network; exit 3` failed in it (exit code 3):\nno network" in told
    await stage.close()


async def test_long_output_is_cut_and_lies_whole_in_a_file(stage: Stage) -> None:
    stage.serve(
        tasks={
            TITLE: [
                step(use("shell", command="seq 1 30000")),
                step(use("grep", pattern="^29999$", path=".headway/out")),
                step(use("shell", command="sleep 60", timeout_s=0.2)),
                step(use("shell", command="pwd", workdir="src")),
                finish(status="not_needed"),
            ]
        }
    )
    order = stage.task()
    await stage.done(order)
    answers = stage.texts(order.me, "tool.result")
    assert "the whole output: .headway/out/" in answers[0]
    assert len(answers[0]) < 40_000
    assert answers[1].endswith(":29999:29999")
    assert answers[2].startswith("[killed: timed out after 0 s")
    assert answers[3].endswith("/src\n")


async def test_a_worker_that_is_cancelled_leaves_everything_and_goes_on_later(stage: Stage) -> None:
    rehearsal = stage.serve(
        tasks={TITLE: [WRITE, step(use("shell", command="touch started; sleep 100")), LAND, finish(), finish()]}
    )
    order = stage.task()
    task = asyncio.create_task(stage.work(order))
    await asyncio.to_thread(_appears, stage, "started")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome, _ = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert stage.texts(order.me, "tool.result")[1].startswith("error: interrupted")
    assert rehearsal.report()["repeats"] == 0


async def test_a_worker_that_is_ended_from_outside_keeps_its_work_and_hands_off_once(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, LAND]})
    order = stage.task()
    suspended = await stage.work(order.model_copy(update={"granted": Amount(tokens=23_000, tasks=1)}))
    assert isinstance(suspended, WorkerSuspended)
    end = EndWorker(order=order, status=HandoffStatus.CANCELLED, why="cancelled")
    done = await stage.worker().end(end)
    assert (done.status, done.summary, done.retry) == (HandoffStatus.CANCELLED, "cancelled", False)
    assert git(stage.hub.folder, "show", f"{stage.handoff(done.ref).facts.wip}:one.txt") == "one"
    assert await stage.worker().end(end) == done
    assert await stage.work(order) == done


async def test_a_task_that_never_began_can_be_ended_too(stage: Stage) -> None:
    stage.serve(tasks={TITLE: []})
    order = stage.task()
    done = await stage.worker().end(EndWorker(order=order, status=HandoffStatus.FAILED, why="lost"))
    assert (done.status, done.spent.tokens, done.spent.tasks) == (HandoffStatus.FAILED, 0, 0)


def _appears(stage: Stage, name: str) -> None:
    """Wait until a command of a worker has made a file."""
    while not list(stage.places.folder.glob(f"*/*/*/{name}")):
        time.sleep(0.01)
