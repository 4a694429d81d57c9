"""What breaks inside of the harness is an answer or an end: no task is tried again without a cause that passes."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from headway.agents.loop import harness_faults
from headway.agents.worker.worker_tools import WorkerTools
from headway.domain.errors import TransientError
from headway.domain.handoff import HandoffStatus
from headway.editing.files import Files
from headway.eventlog.events.conversation import Message, ToolResult
from headway.eventlog.events.life import AgentState
from headway.eventlog.views.interrupted import Interrupted
from headway.git.git_process import GitError
from headway.git.hub import Hub
from headway.system.walk import let_in, walk
from tests.agents.offered import EVERY_TOOL, arguments_of
from tests.agents.stage import ROOT, Stage, finish, say, step, use
from tests.support.events import request

PATCH = "*** Begin Patch\n*** Add File: one\n+a \ud83d b\n*** End Patch"
TITLE = "Write a file"
BUGS = [
    RuntimeError("odd"),
    UnicodeError("odd"),
    RecursionError("odd"),
    PermissionError(13, "odd"),
    KeyError("x"),
]


def raising(error: BaseException) -> Any:
    def broken(*_: object, **__: object) -> None:
        raise error

    return broken


@pytest.mark.parametrize("error", BUGS, ids=lambda error: type(error).__name__)
async def test_a_call_that_breaks_is_answered_and_the_agent_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Files, "list_dir", raising(error))
    stage.serve(tasks={TITLE: [step(use("list_dir", path=".")), finish(status="not_needed")]})
    order = stage.task()
    outcome, _ = await stage.done(order)
    assert outcome.status is HandoffStatus.NOT_NEEDED
    told = stage.texts(order.me, "tool.result")[0]
    assert told.startswith(f"error: this call failed inside of the harness ({type(error).__name__}")
    noted = [
        event for event in stage.log(order.me) if isinstance(event.body, AgentState | ToolResult) and event.body.broke
    ]
    assert len(noted) == 1


async def test_a_call_that_broke_twice_is_not_made_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def broken(_: Files, path: str, depth: int) -> None:
        made.append(path)
        raise RuntimeError(depth)

    monkeypatch.setattr(Files, "list_dir", broken)
    again = step(use("list_dir", path="."))
    stage.serve(tasks={TITLE: [again, again, again, again, finish(status="not_needed")]})
    order = stage.task()
    await stage.done(order)
    assert len(made) == 2
    assert "not made again" in stage.texts(order.me, "tool.result")[2]


async def test_a_planner_s_call_that_breaks_is_answered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "list_dir", raising(RuntimeError("odd")))
    stage.serve(root=[step(use("list_dir", path=".")), step(use("wait"))])
    await stage.turn("k1")
    assert "failed inside of the harness" in stage.texts(ROOT, "tool.result")[0]


@pytest.mark.parametrize("short", [OSError(errno.ENOSPC, "full"), TransientError("later")], ids=["disk", "transient"])
async def test_what_passes_is_waited_for_and_answers_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, short: Exception
) -> None:
    stage.serve(tasks={TITLE: [step(use("list_dir", path=".")), finish(status="not_needed")]})
    order = stage.task()
    with monkeypatch.context() as broken:
        broken.setattr(Files, "list_dir", raising(short))
        with pytest.raises(type(short)):
            await stage.work(order)
    outcome, _ = await stage.done(order)
    assert outcome.status is HandoffStatus.NOT_NEEDED
    assert "README.md" in stage.texts(order.me, "tool.result")[0]


async def test_a_call_at_which_the_process_died_twice_is_not_made_a_third_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that is killed at a call writes nothing; whoever resumes it notes that it makes the call again."""

    class Killed(BaseException):
        pass

    stage.serve(tasks={TITLE: [step(use("grep", pattern="x")), finish(status="not_needed")]})
    order = stage.task()
    with monkeypatch.context() as broken:
        broken.setattr(Files, "grep", raising(Killed()))
        for _ in range(2):
            with pytest.raises(Killed):
                await stage.work(order)
        outcome = await stage.work(order)
    assert "not made again" in stage.texts(order.me, "tool.result")[0]
    assert outcome.status is HandoffStatus.NOT_NEEDED  # type: ignore[union-attr]


@pytest.mark.parametrize("place", ["open", "loop"])
async def test_an_attempt_that_breaks_at_one_place_three_times_hands_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    stage.serve(tasks={TITLE: [say("I think."), finish(status="not_needed")]})
    order = stage.task()
    what = (type(stage.places), "open") if place == "open" else (WorkerTools, "answer")
    monkeypatch.setattr(what[0], what[1], raising(RuntimeError("odd")))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="odd"):
            await stage.work(order)
    outcome = await stage.work(order)
    assert outcome.status is HandoffStatus.FAILED  # type: ignore[union-attr]
    assert outcome.retry  # type: ignore[union-attr]
    assert "RuntimeError: odd" in outcome.summary  # type: ignore[union-attr]


async def test_what_lies_between_two_breaks_begins_the_count_anew(stage: Stage) -> None:
    order = stage.task()
    with stage.store.open(order.me, role="worker", task=order.me) as log:
        seen = Interrupted()
        log.follow(seen)
        assert not harness_faults.counted(log, seen, RuntimeError("one"))
        assert not harness_faults.counted(log, seen, RuntimeError("two"))
        log.append(Message(text="it went on"))
        assert not harness_faults.counted(log, seen, RuntimeError("three"))
        log.append(request())
        assert not harness_faults.counted(log, seen, RuntimeError("four"))
        assert harness_faults.counted(log, seen, RuntimeError("five"))


async def test_git_that_fails_for_no_reason_that_passes_ends_an_attempt_too(stage: Stage) -> None:
    order = stage.task()
    with stage.store.open(order.me, role="worker", task=order.me) as log:
        seen = Interrupted()
        log.follow(seen)
        broken = [
            harness_faults.counted(log, seen, GitError(["x"], 128, "fatal: odd"))
            for _ in range(harness_faults.GIT_ENDS)
        ]
        assert broken == [False] * (harness_faults.GIT_ENDS - 1) + [True]
        assert not harness_faults.counted(log, seen, GitError(["x"], 128, "fatal: No space left on device"))


async def test_an_agent_hands_off_where_its_workspace_cannot_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.serve(tasks={TITLE: [step(use("write_file", path="one.txt", content="1\n")), finish(status="partial")]})
    order = stage.task()
    monkeypatch.setattr(
        "headway.git.workspace.workspace.Workspace.scan", raising(PermissionError(13, "Permission denied"))
    )
    outcome, handoff = await stage.done(order)
    assert outcome.status is HandoffStatus.PARTIAL
    assert "could not be kept" in handoff.report.concerns


@pytest.mark.parametrize(
    "tool", ["write_file", "edit_file", "apply_patch", "shell", "land", "grep", "rewrite_scratchpad"]
)
def test_half_a_surrogate_pair_becomes_a_replacement_character(tool: str) -> None:
    """A cut emoji leaves one, in any text of any tool."""
    kind = EVERY_TOOL.tools[tool].args
    fields = {name: field.annotation for name, field in kind.model_fields.items() if field.is_required()}
    raw = json.dumps(dict.fromkeys(fields, "a \ud83d b")) if tool != "apply_patch" else json.dumps({"patch": PATCH})
    read = arguments_of(EVERY_TOOL, tool, raw).model_dump_json()
    assert "\ufffd" in read
    assert "\U0001f600" in arguments_of(EVERY_TOOL, tool, raw.replace("\\ud83d", "\\ud83d\\ude00")).model_dump_json()


def test_a_workspace_that_its_agent_closed_is_opened_again(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    for _ in range(1_500):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(tmp_path)
    (tmp_path / "closed" / "in").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o000)
    (tmp_path / "link").symlink_to("/")
    let_in(tmp_path)
    places = [place.path for place in walk(tmp_path)]
    assert {"closed/in", "/".join(["d"] * 1_500)} <= set(places)
    assert not any(place.startswith("link") for place in places)
    assert (tmp_path / "closed").stat().st_mode & 0o700 == 0o700
