"""One screen tells what a run is at: read here by labels alone, as a person or a script without our parsers does."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from headway.agents.tools.catalogue import RESULTS
from headway.cli.display.board import QUIET_S, board_of, state_of, waits_for_user
from headway.cli.display.screen import screen
from headway.cli.display.views import LiveView
from headway.cli.display.watch import Look
from headway.domain.ids import AgentId
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control, Hold
from headway.eventlog.events.work import BudgetAsked
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.figures import figures_of
from headway.runs.preparation import Preparation
from tests.cli.fleets import RUN, agent, look_at_fleet
from tests.support.terminal import labelled


def shown(look: Look, width: int = 80, height: int | None = 24) -> str:
    return "\n".join(line.plain for line in screen(look, width, height))


@pytest.mark.parametrize("count", [30, 300])
def test_a_screen_of_80x24_answers_the_questions_of_the_first_minute(count: int, tmp_path: Path) -> None:
    text = shown(look_at_fleet(tmp_path, count))
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(cell_len(line) for line in lines) <= 80
    assert re.fullmatch(r"fleet: running · \d:\d\d elapsed", lines[0])
    found = labelled(text)
    # What is it doing?
    assert re.search(r"1\.\d+ Task \d+: running `pytest -q` \d:\d\d \$0\.01", found["now"])
    assert re.search(r"and \d+ more agents working or waiting", found["now"])
    assert ", 1 paused, 1 waiting for budget" in found["agents"]
    whole = shown(look_at_fleet(tmp_path, count), 200, None)
    assert f"Task {count - 1}: waits for budget: needs $0.55, its planner has $0.15 free" in whole
    # What is stuck, and why?
    assert "parked since 10:00: agents wait for model 'm'" in found["stuck"]
    assert "1.5 is paused by ada: lunch; `headway resume fleet 1.5` resumes it" in found["stuck"]
    assert "1.1 Task 1: 3 model calls failed (503: overloaded)" in found["stuck"]
    assert "1.2 Task 2: failed: The tests need a database." in found["ended"]
    # What did it cost? What landed? What conflicts? How fast?
    assert re.match(r"\d+(\.\d)?k of 20\.0M tokens, \$\d+\.\d\d of \$20\.00 \(planners \$0\.01, w", found["cost"])
    assert re.match(rf"{count // 5} commits by {count // 5} tasks, newest \d:\d\d ago: ", found["landed"])
    assert found["conflicts"] == "1 open (1.0), 1 in all"
    assert re.match(r"\d+(\.\d)? commits a minute, \S+ tokens a minute, \$[\d,.]+ an hour", found["rate"])
    assert re.match(rf"{count + 1}: \d+ working, ", found["agents"])
    assert "attempt 2" in whole


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 15), (120, 40), (20, 8), (200, 10)])
def test_the_live_view_fits_its_terminal(width: int, height: int, tmp_path: Path) -> None:
    look = look_at_fleet(tmp_path, 60)
    target = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with LiveView(target) as view:
        view.show(look)
        view._live.refresh()
        assert isinstance(target.file, io.StringIO)
        frame = re.split(r"\x1b\[2K|\x1b\[\?25l", target.file.getvalue())[-1]
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame).strip("\r\n").splitlines()
    assert 3 < len(lines) < height + (height <= 8)
    assert max(map(cell_len, lines)) <= width


def test_an_agent_that_waits_for_a_slot_is_neither_working_nor_stuck(tmp_path: Path) -> None:
    look = look_at_fleet(tmp_path, 6)
    with LocalStore(tmp_path).open(agent(0), role="worker", task=agent(0)) as log:
        log.append(BudgetAsked(needs=Amount(tokens=9_000)))
    figures = figures_of(LocalStore(tmp_path, results=RESULTS), RUN)
    later = figures.model_copy(update={"at": figures.at + 3 * QUIET_S})
    (row,) = (row for row in board_of(replace(look, figures=later)).rows if row.agent == agent(0))
    assert (row.group, row.words) == ("queued", "queued for its next slot")


def test_the_worst_endings_are_told_first(tmp_path: Path) -> None:
    """Of three hundred agents two lines are left for those that ended: partial work must not hide a failure there."""
    look = look_at_fleet(tmp_path, 6)
    assert look.tree is not None
    ends = ("partial", "done", "partial", "cancelled", "failed", "blocked")
    nodes = tuple(
        node.model_copy(update={"id": agent(90 + at), "state": state, "title": state})
        for at, (node, state) in enumerate(zip(look.tree.children, ends, strict=True))
    )
    bare = Look(RUN, {"phase": "running"}, look.tree.model_copy(update={"children": nodes}))
    rows = [row.status for row in board_of(bare).of("ended")]
    assert rows == ["failed", "blocked", "cancelled", "partial", "partial", "done"]


def test_wide_characters_are_counted_as_wide(tmp_path: Path) -> None:
    look = look_at_fleet(tmp_path, 6)
    commits = (replace(look.commits[0], subject="文字化けを直す" * 20),)
    assert all(cell_len(line) <= 80 for line in shown(replace(look, commits=commits)).splitlines())


def test_commits_are_counted_by_the_logs_where_not_all_are_read(tmp_path: Path) -> None:
    look = look_at_fleet(tmp_path, 30)
    assert len(look.commits) == 6
    landed = labelled(shown(replace(look, commits=look.commits[-2:])))["landed"]
    assert landed.startswith("6 commits by 6 tasks, newest ")


def test_everything_is_there_where_nothing_is_cut(tmp_path: Path) -> None:
    text = shown(look_at_fleet(tmp_path, 40), width=10_000, height=None)
    assert all(f" Task {index}:" in text for index in range(40) if not 22 <= index < 30 - 3)
    assert "more agents" not in text


STATES = [
    ({"phase": "hold"}, "on hold: budget exhausted", True),
    ({"phase": "needs_attention"}, "needs attention: its root planner failed", True),
    ({"phase": "running", "parked": [{}]}, "parked: its model refuses calls", True),
    ({"phase": "running", "stalled": True}, "stalled", True),
    ({"phase": "running"}, "running", False),
    ({"phase": "proving"}, "checking the trunk", False),
    ({"phase": "closed", "outcome": "partial"}, "partial", False),
    ({}, "unknown", False),
]


@pytest.mark.parametrize(("status", "state", "waits"), STATES, ids=[state for _, state, _ in STATES])
def test_a_state_that_waits_for_its_user_is_told_as_one(status: dict[str, object], state: str, waits: bool) -> None:
    look = Look(RUN, status)
    assert (state_of(look), waits_for_user(look)) == (state, waits)
    assert shown(look).splitlines()[0] == f"fleet: {state}"


def test_a_paused_run_is_not_running_and_tells_who_paused_it_and_why() -> None:
    held = Control(version=1, paused={AgentId(RUN): Hold(who="ada", why="lunch", at=0.0)})
    look = Look(RUN, {"phase": "running"}, control=held)
    assert state_of(look) == "paused: lunch"
    assert waits_for_user(look)
    assert board_of(look).attention == ("the run is paused by ada: lunch; `headway resume fleet` resumes it",)


def test_a_run_that_cannot_be_prepared_says_why() -> None:
    look = Look(
        RUN, {"phase": "preparing"}, preparation=Preparation("asking the models", "No space left\non device", 4)
    )
    first = shown(look).splitlines()[0]
    assert first == "fleet: preparing: No space left on device (try 4; it is tried again)"
    assert waits_for_user(look)
    quiet = replace(look, preparation=Preparation("running setup", "", 1))
    assert (state_of(quiet), waits_for_user(quiet)) == ("preparing: running setup", False)


def test_no_escape_sequence_of_a_model_reaches_the_screen(tmp_path: Path) -> None:
    look = look_at_fleet(tmp_path, 6)
    evil = replace(look.commits[0], subject="\x1b[2Jgone\r\nnext")
    lines = screen(replace(look, commits=(evil,)), 200, None)
    assert all("\x1b" not in line.plain and "\n" not in line.plain and "\r" not in line.plain for line in lines)
