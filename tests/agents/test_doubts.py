"""What speaks against a worker's `finish`: told once, in facts, and what is handed off is true all the same."""

import shutil

import pytest

from headway.agents.worker.finish_checks import Commands, WorkState, objections
from headway.agents.worker.unfinished_lines import unfinished
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import Oid
from headway.domain.task import TaskKind
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.views.attempt import AttemptRecord
from headway.rehearsal.playbook import Step
from headway.sandbox.outcome import Ran
from tests.agents.offered import REPLACING
from tests.agents.stage import Stage, finish, git, step, use
from tests.support.events import answer, event, started

IDLE = REPLACING.named(lambda tool: not tool.is_work)

TITLE = "Write a file"
WRITE = step(use("write_file", path="one.txt", content="one\n"))
LAND = step(use("land", message="Write one"))
ONE = Oid("1" * 40)
DONE, PARTIAL, BLOCKED, NOT_NEEDED = (HandoffStatus(s) for s in ("done", "partial", "blocked", "not_needed"))


def result(name: str, ran: Ran | None = None) -> AnyEvent:
    return event(answer(name, result=ran))


def ran(command: str, exit_code: int | None, note: str = "") -> AnyEvent:
    return result("shell", Ran(command=command, exit_code=exit_code, note=note))


OK, BAD, SUITE_BAD = ran("make", 0), ran("make", 2), ran("cd x && make test", 1)
GOOD = WorkState(landed=(ONE,))


def commands_of(events: list[AnyEvent]) -> Commands:
    commands = Commands("make test")
    for each in events:
        commands.apply(each)
    return commands


@pytest.mark.parametrize(
    ("status", "now", "events", "told"),
    [
        (DONE, GOOD, [OK], []),
        (DONE, GOOD, [], []),
        (DONE, WorkState(), [OK], ["nothing of it is on the trunk"]),
        (PARTIAL, WorkState(), [OK], []),
        (PARTIAL, WorkState(unlanded=("a",)), [OK], ["not landed: a"]),
        (DONE, WorkState(landed=(ONE,), in_submodules=("lib/a",)), [OK], ["and cannot land: lib/a"]),
        (
            DONE,
            WorkState(landed=(ONE,), unlanded=("a",), marked=("a",)),
            [OK],
            ["not landed: a", "markers are left in: a"],
        ),
        (DONE, WorkState(gone=(ONE,)), [OK], ["on the trunk no longer", "nothing of it"]),
        (PARTIAL, WorkState(gone=(ONE,)), [OK], ["on the trunk no longer"]),
        (DONE, GOOD, [OK, BAD], ["your last command did not succeed (exit code 2)"]),
        (DONE, GOOD, [ran("make", None, "killed: timeout")], ["(killed: timeout)"]),
        (DONE, GOOD, [ran("make", None, "interrupted")], []),
        (DONE, GOOD, [SUITE_BAD, OK], ["your last run of the check did not succeed (exit code 1)"]),
        (DONE, GOOD, [SUITE_BAD, ran("make test", 0), OK], []),
        (DONE, GOOD, [OK, SUITE_BAD], ["your last run of the check"]),
        (PARTIAL, GOOD, [BAD], []),
        (DONE, WorkState(landed=(ONE,), unfinished=("a.py:1: TODO",)), [OK], ["not finished: a.py:1: TODO"]),
        (BLOCKED, WorkState(unlanded=("a",)), [BAD], []),
        (NOT_NEEDED, WorkState(), [], []),
        (NOT_NEEDED, GOOD, [], ["1 commits of yours are on the trunk"]),
    ],
)
def test_what_speaks_against_a_change(
    status: HandoffStatus, now: WorkState, events: list[AnyEvent], told: list[str]
) -> None:
    found = objections(status, TaskKind.CHANGE, now, commands_of(events))
    assert len(found) == len(told), found
    assert all(part in text for part, text in zip(told, found, strict=True))


@pytest.mark.parametrize(
    ("status", "events", "count"),
    [(DONE, [result("read_file")], 0), (DONE, [result("rewrite_scratchpad")], 1), (DONE, [], 1), (BLOCKED, [], 0)],
)
def test_an_answer_that_nobody_looked_for_is_doubted(status: HandoffStatus, events: list[AnyEvent], count: int) -> None:
    attempt = AttemptRecord(1)
    for each in (event(started()), *events):
        attempt.apply(each)
    looked = not attempt.called <= IDLE
    assert len(objections(status, TaskKind.INVESTIGATE, WorkState(), commands_of(events), looked=looked)) == count


def test_an_earlier_attempts_commands_count_no_more() -> None:
    assert objections(DONE, TaskKind.CHANGE, GOOD, commands_of([SUITE_BAD, event(started(2))])) == []


def test_many_paths_are_named_in_part() -> None:
    (told,) = objections(
        PARTIAL, TaskKind.CHANGE, WorkState(unlanded=tuple(f"f{n}" for n in range(30))), Commands(None)
    )
    assert told.endswith("f19 and 10 more")


LINES = {
    "a.py": ["x = 1  # TODO later", "raise NotImplementedError", "@pytest.mark.skip", "todo = 1", "note: no TODOS"],
    "b.js": ["it.only('works', f)", "item.only()"],
    "c.rs": ["    unimplemented!()", "let unimplemented = 1;"],
}
FOUND = {
    "x = 1  # TODO later",
    "raise NotImplementedError",
    "@pytest.mark.skip",
    "it.only('works', f)",
    "unimplemented!()",
}


def test_lines_that_say_that_they_are_not_finished_are_found_where_they_are_new(stage: Stage) -> None:
    (stage.source / "old.py").write_text("# TODO from before\n")
    git(stage.source, "add", "--all")
    git(stage.source, "commit", "--quiet", "--message=Before")
    (stage.source / "moved.py").write_text("import x\n# TODO from before\n")
    (stage.source / "old.py").unlink()
    for name, lines in LINES.items():
        (stage.source / name).write_text("\n".join(["", *lines, ""]))
    git(stage.source, "add", "--all")
    git(stage.source, "commit", "--quiet", "--message=After")
    git(stage.hub.folder, "fetch", "--quiet", str(stage.source), "main")
    found = unfinished(stage.hub, [Oid(git(stage.source, "rev-parse", "HEAD"))])
    assert {text.split(": ", 1)[1] for text in found} == FOUND
    assert found[0] == "a.py:2: x = 1  # TODO later"


async def test_unfinished_lines_are_told_once(stage: Stage) -> None:
    write = step(use("write_file", path="one.py", content="# TODO: all of it\n"))
    stage.serve(tasks={TITLE: [write, LAND, finish(), finish("It is a to-do app.")]})
    order = stage.task()
    outcome, _ = await stage.done(order)
    assert outcome.status is DONE
    assert "one.py:1: # TODO: all of it" in stage.texts(order.me, "tool.result")[2]


async def test_the_check_that_failed_is_told_though_a_later_command_succeeded(stage: Stage) -> None:
    stage.more["check"] = "test -e two.txt"
    run = step(use("shell", command="test -e two.txt"))
    stage.serve(tasks={TITLE: [WRITE, LAND, run, step(use("shell", command="ls")), finish(), finish("So be it.")]})
    order = stage.task()
    await stage.done(order)
    assert "your last run of the check did not succeed" in stage.texts(order.me, "tool.result")[-2]


async def test_files_in_a_submodule_are_told_at_land_and_at_finish(stage: Stage) -> None:
    git(stage.source, "update-index", "--add", "--cacheinfo", f"160000,{stage.base},vendor/lib")
    git(stage.source, "commit", "--quiet", "--message=With a submodule")
    shutil.rmtree(stage.hub.folder)
    stage.base = stage.hub.prepare(str(stage.source), None).base
    inside = step(use("write_file", path="vendor/lib/new.txt", content="x\n"))
    narrow = step(use("land", message="Vendor", paths=["vendor/lib/new.txt"]))
    stage.serve(tasks={TITLE: [WRITE, inside, LAND, narrow, finish(), finish("So be it.")]})
    order = stage.task()
    outcome, _ = await stage.done(order)
    _, _, landed, refused, bounced, _ = stage.texts(order.me, "tool.result")
    assert outcome.status is DONE
    assert "lie in a submodule, a repository of its own, and cannot land here: vendor/lib/new.txt" in landed
    assert "lies in the submodule 'vendor/lib'" in refused
    assert "cannot land: vendor/lib/new.txt" in bounced


# What is handed off is true


def take_off(stage: Stage, by: str) -> None:
    """Somebody moves the trunk to where the commit is not, behind everybody's back."""
    if by == "reset":
        git(stage.hub.folder, "update-ref", "refs/heads/main", stage.base)
        return
    (stage.source / "theirs.txt").write_text("theirs\n")
    git(stage.source, "add", "--all")
    git(stage.source, "commit", "--quiet", "--message=Theirs")
    git(stage.source, "push", "--quiet", "--force", str(stage.hub.folder), "HEAD:refs/heads/main")


@pytest.mark.parametrize("by", ["reset", "foreign push"])
async def test_a_commit_that_was_taken_off_the_trunk_counts_no_more(stage: Stage, by: str) -> None:
    stage.serve(tasks={TITLE: [WRITE, LAND, step(use("shell", command="true")), finish(), finish("All the same.")]})
    order = stage.task()
    at_command = stage.beats
    taken: list[str] = []

    class Beats(list[str]):
        def append(self, what: str) -> None:
            if what == "shell":
                take_off(stage, by)
                taken.append(by)

    stage.beats = Beats(at_command)
    outcome, handoff = await stage.done(order)
    assert taken == [by]
    told = stage.texts(order.me, "tool.result")[-2]
    assert "what you landed is on the trunk no longer" in told
    assert "nothing of it is on the trunk" in told
    assert (outcome.status, handoff.report.status, handoff.facts.landed) == (PARTIAL, PARTIAL, ())
    assert "nothing of this task is on the trunk" in handoff.report.concerns


async def test_what_is_landed_again_after_that_counts(stage: Stage) -> None:
    again = step(use("write_file", path="one.txt", content="one, again\n"))
    stage.serve(tasks={TITLE: [WRITE, LAND, step(use("shell", command="true")), again, LAND, finish()]})
    order = stage.task()

    class Beats(list[str]):
        def append(self, what: str) -> None:
            if what == "shell":
                take_off(stage, "reset")

    stage.beats = Beats()
    outcome, handoff = await stage.done(order)
    assert outcome.status is DONE
    assert handoff.facts.landed == (stage.hub.tip(),)
    assert stage.on_trunk("one.txt") == "one, again\n"


@pytest.mark.parametrize(
    ("calls", "kind", "status"),
    [
        ([finish(), finish()], "change", PARTIAL),
        ([WRITE, LAND, finish()], "change", DONE),
        ([WRITE, finish("Half.", "partial"), finish("Half.", "partial")], "change", PARTIAL),
        ([step(use("list_dir")), finish()], "investigate", DONE),
        ([finish(status="not_needed")], "change", NOT_NEEDED),
    ],
)
async def test_done_is_what_is_on_the_trunk(stage: Stage, calls: list[Step], kind: str, status: HandoffStatus) -> None:
    stage.serve(tasks={TITLE: calls})
    outcome, handoff = await stage.done(stage.task(kind=kind))
    assert outcome.status is handoff.report.status is status
