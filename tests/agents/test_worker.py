"""A worker's attempt: what it does, how it ends, and what it cannot do."""

from pathlib import Path

import pytest

from headway.domain.handoff import HandoffStatus
from headway.domain.headings import own_part
from headway.models.endpoint import Api
from headway.rehearsal.playbook import Step
from tests.agents.stage import Stage, finish, git, step, use

TITLE = "Write a file"
WRITE = step(use("write_file", path="one.txt", content="one\n"))
LAND = step(use("land", message="Write one"))


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_worker_edits_lands_and_hands_off(stage: Stage, api: Api) -> None:
    stage.api = api
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
    assert own_part(told).startswith(f"Task: {TITLE}\n\nIntent:\nSo that it is there.\n")
    assert "Use tabs." not in own_part(told)
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
    nothing = not handoff.facts.landed
    assert (outcome.status is HandoffStatus.PARTIAL) == nothing == ("By the harness" in handoff.report.concerns)
    assert outcome.summary == "All the same."
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


async def test_doubtful_files_land_when_they_are_asked_for_again(stage: Stage) -> None:
    make = step(use("shell", command="head -c 1500000 /dev/zero | tr '\\0' 'x' > big.txt"))
    stage.serve(tasks={TITLE: [make, LAND, LAND, finish()]})
    order = stage.task()
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.DONE
    assert len(handoff.facts.landed) == 1
    assert "land again and they will be taken" in stage.texts(order.me, "tool.result")[1]


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
