"""A worker's attempt: what it does, how it ends, and what it cannot do."""

import asyncio
import time
from pathlib import Path

import pytest

from headway.domain.handoff import HandoffStatus
from headway.domain.work import EndWorker, WorkerDone, WorkerSuspended
from headway.rehearsal.playbook import Step
from tests.agent.stage import Stage, finish, git, say, step, use

TITLE = "Write a file"
WRITE = step(use("write_file", path="one.txt", content="one\n"))
LAND = step(use("land", message="Write one"))


async def test_a_worker_edits_lands_and_hands_off(stage: Stage) -> None:
    rehearsal = stage.serve(
        tasks={
            TITLE: [
                step(use("list_dir", path="."), use("read_file", path="src/app.py"), use("grep", pattern="b = ")),
                step(use("edit_file", path="src/app.py", old="b = 2", new="b = 20")),
                step(use("write_file", path="new/one.txt", content="one\n")),
                step(use("shell", command="cat new/one.txt && git status --short")),
                step(use("rewrite_scratchpad", content="Nearly there.")),
                step(use("land", message="Write one\n\nBecause it was missing.")),
                finish("one.txt is there.", concerns="None to speak of."),
            ]
        }
    )
    order = stage.task()
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert not outcome.retry
    assert stage.on_trunk("new/one.txt") == "one\n"
    assert stage.on_trunk("src/app.py") == "a = 1\nb = 20\nc = 3\n"
    facts = handoff.facts
    assert (len(facts.landed), facts.files_changed, facts.wip, facts.model_calls) == (1, 2, None, 7)
    assert facts.landed == (stage.hub.tip(),)
    assert outcome.spent.tokens == facts.tokens > 0
    assert outcome.spent.tasks == 1
    assert facts.commands[-1].exit_code == 0
    assert rehearsal.problems() == []
    assert list(stage.places.folder.glob("*/[!.]*")) == []


async def test_the_commit_says_whose_work_it_is(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, LAND, finish()]})
    order = stage.task()
    await stage.done(order)
    said = git(stage.hub.folder, "log", "-1", "--format=%an <%ae>%n%B", "main")
    assert said.startswith("Bob Author <bob@example.org>\nWrite one\n")
    assert f"Headway-Task: {order.me}\nHeadway-Planner: {order.me.rpartition('/')[0]}" in said


async def test_the_opening_tells_the_task_the_policy_the_limits_and_the_guidance(tmp_path: Path) -> None:
    policy = {"dependencies": "none but the standard library", "performance": "under a second"}
    stage = Stage(tmp_path, limits={"command_seconds": 77}, more={"policy": policy, "check": "make test"})
    stage.serve(tasks={TITLE: [finish(status="not_needed")]})
    order = stage.task(context="It was never there.", constraints="Keep it short.", paths=("one.txt",))
    await stage.done(order)
    told = stage.texts(order.me, "message")[0]
    assert told.startswith(f"Task: {TITLE}\n\nIntent:\nSo that it is there.\n")
    for part in (
        "It was never there.",
        "Keep it short.",
        "one.txt",
        *policy.values(),
        "77 s",
        "make test",
        "Use tabs.",
    ):
        assert part in told
    await stage.close()


@pytest.mark.parametrize(
    ("calls", "fact"),
    [
        ([finish()], "nothing of it is on the trunk"),
        ([WRITE, LAND, step(use("write_file", path="two.txt", content="")), finish()], "not landed: two.txt"),
        ([WRITE, LAND, step(use("shell", command="false")), finish()], "did not succeed (exit code 1)"),
    ],
    ids=["nothing landed", "changes left", "last command failed"],
)
async def test_a_doubtful_finish_comes_back_once(stage: Stage, calls: list[Step], fact: str) -> None:
    rehearsal = stage.serve(tasks={TITLE: [*calls, finish("All the same.")]})
    order = stage.task()
    outcome, handoff = await stage.done(order)
    assert (outcome.status, outcome.summary) == (HandoffStatus.DONE, "All the same.")
    assert [fact in text for text in stage.texts(order.me, "tool.result")][-2:] == [True, False]
    assert rehearsal.problems() == []
    left = handoff.facts.wip
    assert (left is not None) == ("two.txt" in fact)
    if left is not None:
        assert git(stage.hub.folder, "show", "--name-only", "--format=", left, "-m", "--first-parent") == "two.txt"


async def test_an_honest_finish_is_not_held_up(stage: Stage) -> None:
    rehearsal = stage.serve(tasks={TITLE: [step(use("shell", command="false")), finish("No way.", status="blocked")]})
    outcome, _ = await stage.done(stage.task())
    assert outcome.status is HandoffStatus.BLOCKED
    assert rehearsal.report()["requests"] == 2


async def test_an_investigation_lands_nothing(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, LAND, finish("It holds.", findings="Three.")]})
    order = stage.task(kind="investigate")
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert handoff.facts.landed == ()
    assert stage.hub.tip() == stage.base
    assert "lands nothing" in stage.texts(order.me, "tool.result")[1]


async def test_a_conflict_comes_back_with_markers_and_lands_when_it_is_resolved(stage: Stage) -> None:
    stage.serve(tasks={"Rival": [_set_b(20), step(use("land", message="Rival")), finish()]})
    mine = stage.task("Mine", 2)
    calls = [
        _set_b(30),
        _land_rival(stage),
        step(use("land", message="Mine")),
        step(use("read_file", path="src/app.py")),
    ]
    resolved = step(use("write_file", path="src/app.py", content="a = 1\nb = 50\nc = 3\n"))
    stage.serve(
        tasks={
            "Mine": [*calls, resolved, step(use("land", message="Mine again")), finish()],
        }
    )
    outcome, _ = await stage.done(mine)
    assert outcome.status is HandoffStatus.DONE
    assert stage.on_trunk("src/app.py") == "a = 1\nb = 50\nc = 3\n"
    answers = stage.texts(mine.me, "tool.result")
    assert "- src/app.py (contents)" in answers[2]
    assert "Elsewhere" in answers[2]
    assert "<<<<<<<" in answers[3]


async def test_after_three_conflicts_the_patch_is_handed_up(stage: Stage) -> None:
    mine = stage.task("Mine", 2)
    calls = [_set_b(30)]
    for number in range(3):
        calls += [_land_rival(stage, 100 + number), step(use("land", message="Mine"))]
        calls += [step(use("write_file", path="src/app.py", content=f"a = 1\nb = 3{number}\nc = 3\n"))]
    rehearsal = stage.serve(tasks={"Mine": calls})
    outcome, handoff = await stage.done(mine)
    assert (outcome.status, outcome.retry) == (HandoffStatus.PARTIAL, False)
    assert "conflicted 3 times" in outcome.summary
    patch = outcome.summary.rpartition(" ")[2]
    assert git(stage.hub.folder, "show", f"{patch}:src/app.py") == "a = 1\nb = 31\nc = 3"
    assert handoff.facts.wip is not None
    assert rehearsal.report()["requests"] == 9


async def test_a_used_up_slice_suspends_and_goes_on_with_the_next(stage: Stage) -> None:
    rehearsal = stage.serve(tasks={TITLE: [WRITE, LAND, finish()]})
    order = stage.task()
    first = await stage.work(order.model_copy(update={"tokens": 11_500}))
    assert isinstance(first, WorkerSuspended)
    assert (first.why, first.spent.tokens < 11_500, first.need > 0) == ("grant", True, True)
    again = await stage.work(order.model_copy(update={"tokens": 11_500 + first.need}))
    assert isinstance(again, WorkerSuspended)
    assert again.spent.tokens > first.spent.tokens
    outcome, _ = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert rehearsal.report()["repeats"] == 0


async def test_without_more_to_come_the_work_is_handed_off_as_it_stands(stage: Stage) -> None:
    stage.serve(tasks={TITLE: [WRITE, WRITE, LAND]})
    outcome, handoff = await stage.done(stage.task().model_copy(update={"tokens": 11_500, "more": False}))
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
        ([WRITE], HandoffStatus.FAILED, False, "has no call 2"),
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
    assert told.startswith(f"Task: {TITLE} (attempt 2)\n")
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
    suspended = await stage.work(order.model_copy(update={"tokens": 11_500}))
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


async def test_doubtful_files_land_when_they_are_asked_for_again(stage: Stage) -> None:
    make = step(use("shell", command="head -c 1500000 /dev/zero | tr '\\0' 'x' > big.txt"))
    stage.serve(tasks={TITLE: [make, LAND, LAND, finish()]})
    order = stage.task()
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert len(handoff.facts.landed) == 1
    assert "land again and they will be taken" in stage.texts(order.me, "tool.result")[1]


def _appears(stage: Stage, name: str) -> None:
    """Wait until a command of a worker has made a file."""
    while not list(stage.places.folder.glob(f"*/*/files/{name}")):
        time.sleep(0.01)


def _set_b(value: int) -> Step:
    return step(use("edit_file", path="src/app.py", old="b = 2", new=f"b = {value}"))


def _land_rival(stage: Stage, value: int = 40) -> Step:
    """A command by which, in the middle of a worker's work, somebody else's change gets on the trunk."""
    hub = stage.hub.folder
    script = (
        f"printf 'a = 1\\nb = {value}\\nc = 3\\n' > .headway/app.py && export GIT_DIR={hub} "
        "GIT_AUTHOR_NAME=E GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=E GIT_COMMITTER_EMAIL=e@x "
        "GIT_INDEX_FILE=$PWD/.headway/index && blob=$(git hash-object -w .headway/app.py) && git read-tree main && "
        'git update-index --cacheinfo "100644,$blob,src/app.py" && '
        "git update-ref refs/heads/main $(git commit-tree -p main -m Elsewhere $(git write-tree))"
    )
    return step(use("shell", command=script))
