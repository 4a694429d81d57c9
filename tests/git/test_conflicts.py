"""Conflicts: they go back to their author at once, with both sides in the files and the names of the rivals."""

import os

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Conflicted, Landed, LandingRefused
from headway.git.landing.merging import _has_marker, _named
from headway.git.workspace.snapshot import newest
from headway.git.workspace.workspace import Workspace
from tests.git.ground import RUNGS, Ground, git, write

APP = "src/app.py"


def _changed_line(workspace: Workspace, text: str) -> None:
    path = workspace.path / APP
    path.write_text(path.read_text().replace("line 7\n", f"{text}\n"))


def _rivals(ground: Ground) -> tuple[Workspace, Workspace]:
    """Two workspaces that change the same line; the first has landed."""
    first, second = ground.open(1), ground.open(2)
    _changed_line(first, "first's line")
    write(first.path, {"by-first.txt": "1\n"})
    _changed_line(second, "second's line")
    write(second.path, {"by-second.txt": "2\n"})
    assert isinstance(ground.land(first, "First"), Landed)
    return first, second


def test_the_author_gets_both_sides_and_who_the_other_is(ground: Ground) -> None:
    first, second = _rivals(ground)
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert (outcome.paths, outcome.kinds, outcome.rounds) == ((APP,), ("contents",), 1)
    assert outcome.trunk == ground.hub.tip() == second.base
    assert [(rival.subject, rival.task) for rival in outcome.rivals] == [("First", first.task)]
    marks = "<<<<<<< trunk\nfirst's line\n||||||| before both\nline 7\n=======\nsecond's line\n>>>>>>> your change\n"
    assert f"line 6\n{marks}line 8\n" in (second.path / APP).read_text()
    assert (second.path / "by-first.txt").exists()
    assert second.changes().paths == ("by-second.txt", APP)
    assert git(second.path, "rev-parse", "HEAD") == outcome.trunk
    assert ground.landings() == 1


def test_what_the_author_had_before_is_kept(ground: Ground) -> None:
    _, second = _rivals(ground)
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert b"second's line" in ground.hub.read_file(outcome.before, APP)
    assert b"<<<" not in ground.hub.read_file(outcome.before, APP)
    kept = newest(ground.hub, second.task)
    assert kept is not None
    assert ground.hub.is_ancestor(outcome.before, kept.commit)


def test_markers_that_are_left_are_refused_until_they_are_gone(ground: Ground) -> None:
    _, second = _rivals(ground)
    ground.land(second)
    refused = ground.land(second, accept_doubtful=True)
    assert isinstance(refused, LandingRefused)
    assert (refused.paths, refused.doubtful) == ((APP,), False)
    text = (second.path / APP).read_text()
    (second.path / APP).write_text(text.replace(">>>>>>> your change\n", ""))
    assert isinstance(ground.land(second), LandingRefused)
    (second.path / APP).write_text("".join(f"line {number}\n" for number in range(7)) + "both lines\n")
    assert isinstance(ground.land(second), Landed)
    assert second.changes() == Changes()
    assert ground.landings() == 2


def test_markers_elsewhere_may_land(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"how-to-merge.md": "<<<<<<< trunk\nx\n=======\ny\n>>>>>>> your change\n"})
    assert isinstance(ground.land(workspace), Landed)


def test_other_paths_land_while_a_conflict_is_open(ground: Ground) -> None:
    _, second = _rivals(ground)
    ground.land(second)
    assert isinstance(ground.land(second, paths=("by-second.txt",)), Landed)
    assert isinstance(ground.land(second), LandingRefused)
    _changed_line(second, "irrelevant")
    assert second.changes().paths == (APP,)


def test_rounds_are_counted_until_the_task_lands(ground: Ground) -> None:
    _, second = _rivals(ground)
    for number in (1, 2, 3):
        outcome = ground.land(second)
        assert isinstance(outcome, Conflicted)
        assert outcome.rounds == number
        write(second.path, {APP: f"second's whole file, version {number}\n"})
        rival = ground.open(10 + number)
        write(rival.path, {APP: f"a rival's whole file, version {number}\n"})
        ground.land(rival)
    ground.land(second)
    write(second.path, {APP: "agreed\n"})
    assert isinstance(ground.land(second), Landed)
    last = ground.open(20)
    write(last.path, {APP: "later\n"})
    ground.land(last)
    write(second.path, {APP: "other\n"})
    again = ground.land(second)
    assert isinstance(again, Conflicted)
    assert again.rounds == 1


def test_a_binary_file_stays_as_the_trunk_has_it_and_says_so(ground: Ground) -> None:
    start = ground.open(0)
    write(start.path, {"logo.png": b"\0start", "text.txt": "x\n"})
    ground.land(start, accept_doubtful=True)
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"logo.png": b"\0first"})
    write(second.path, {"logo.png": b"\0second", "text.txt": "y\n"})
    ground.land(first)
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert (outcome.paths, outcome.kinds) == (("logo.png",), ("binary",))
    assert (second.path / "logo.png").read_bytes() == b"\0first"
    assert ground.hub.read_file(outcome.before, "logo.png") == b"\0second"
    assert isinstance(ground.land(second), Landed)
    assert ground.on_trunk("text.txt") == b"y\n"


@pytest.mark.parametrize(
    ("first_does", "second_does", "kind"),
    [
        ({APP: None}, {APP: "changed\n"}, "modify/delete"),
        ({APP: "changed\n"}, {APP: None}, "modify/delete"),
        ({"new.txt": "one\n"}, {"new.txt": "two\n"}, "add/add"),
        ({"new": "a file\n"}, {"new/inside": "a folder\n"}, "file/directory"),
    ],
)
def test_every_kind_of_conflict_is_named_and_can_be_resolved(
    ground: Ground, first_does: dict[str, str | None], second_does: dict[str, str | None], kind: str
) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, first_does)
    write(second.path, second_does)
    ground.land(first)
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert kind in outcome.kinds
    assert outcome.rivals[0].task == first.task
    git(second.path, "checkout", "--quiet", "HEAD", "--", ".")
    git(second.path, "clean", "--quiet", "-fd")
    write(second.path, {"resolved.txt": "resolved\n"})
    assert isinstance(ground.land(second), Landed)
    assert second.changes() == Changes()


def test_what_stays_behind_may_conflict_too_and_is_told(ground: Ground) -> None:
    _, second = _rivals(ground)
    outcome = ground.land(second, paths=("by-second.txt",))
    assert isinstance(outcome, Landed)
    assert outcome.conflicted == (APP,)
    assert "<<<<<<< trunk" in (second.path / APP).read_text()
    refused = ground.land(second)
    assert isinstance(refused, LandingRefused)
    assert refused.paths == (APP,)


@pytest.mark.parametrize("rules", ["", "logo.png -merge\n"])
def test_an_unlanded_file_that_cannot_hold_markers_is_kept(ground: Ground, rules: str) -> None:
    start = ground.open(0)
    mark = b"" if rules else b"\0"
    write(start.path, {"logo.png": mark + b"start", **({".gitattributes": rules} if rules else {})})
    ground.land(start, accept_doubtful=True)
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"logo.png": mark + b"first"})
    write(second.path, {"logo.png": mark + b"second", "text.txt": "y\n"})
    ground.land(first)
    outcome = ground.land(second, paths=("text.txt",))
    assert isinstance(outcome, Landed)
    assert outcome.conflicted == ("logo.png",)
    assert (second.path / "logo.png").read_bytes() == mark + b"first"
    assert outcome.before is not None
    assert ground.hub.read_file(outcome.before, "logo.png") == mark + b"second"
    kept = newest(ground.hub, second.task)
    assert kept is not None
    assert ground.hub.is_ancestor(outcome.before, kept.commit)


def test_a_half_done_rebase_of_the_agent_is_cleared_away(ground: Ground) -> None:
    _, second = _rivals(ground)
    git(second.path, "commit", "--quiet", "--all", "--message=Mine")
    git(second.path, "fetch", "--quiet", str(ground.hub.folder), "main")
    git(second.path, "rebase", "--quiet", "FETCH_HEAD", check=False)
    assert "rebase in progress" in git(second.path, "status")
    write(second.path, {APP: "resolved while rebasing\n"})
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert "rebase" not in git(second.path, "status")


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_markers_in_a_name_that_is_no_utf8_do_not_land(ground: Ground) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    first = ground.open(1)
    write(first.path, {name: "one\ntwo\nthree\n"})
    ground.land(first)
    second = ground.open(2)
    write(first.path, {name: "one\nFIRST\nthree\n"})
    write(second.path, {name: "one\nSECOND\nthree\n"})
    ground.land(first)
    assert isinstance(ground.land(second), Conflicted)
    assert ground.land(second) == LandingRefused(
        "conflict markers are left in these files: resolve them and land again", ("caf\\xe9.txt",)
    )
    again = ground.open(2, lease=2)
    write(again.path, {name: "one\nBOTH\nthree\n"})
    assert isinstance(ground.land(again, paths=("caf\\xe9.txt",)), Landed)
    assert ground.on_trunk(name) == b"one\nBOTH\nthree\n"


ID = b"0123456789abcdef" * 2 + b"01234567"


@pytest.mark.parametrize(
    ("written", "label"),
    [
        (b"<<<<<<< " + ID, b"<<<<<<< trunk"),
        (b"<<<<<<<< " + ID + b":caf\xe9/a", b"<<<<<<<< trunk"),
        (b"|||||||| 9da5732:out/kept.log", b"|||||||| before both"),
        (b">>>>>>>>> " + ID + b":d/y z", b">>>>>>>>> your change"),
        *((text, text) for text in (b"<<<<<< " + ID, b"<<<<<<< a note", b">>>>>>> ", b"=======", ID)),
    ],
)
def test_markers_within_markers_say_whose_part_each_is_and_are_known_again(written: bytes, label: bytes) -> None:
    for ending in (b"", b"\n", b"\r\n"):
        assert _named(written + ending) == label + ending
    assert _has_marker([b"text\n" + label + b"\r\n"]) == (written != label)
