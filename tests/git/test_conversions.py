"""Bytes that a checkout wrote are no change, whatever `.gitattributes` makes of them."""

import os
from pathlib import Path

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Landed
from headway.git.workspace.notes import Move
from headway.git.workspace.scan import Scan
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, git, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)

CRLF = b"".join(b"line %d\r\n" % number for number in range(20))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """CRLF of before `.gitattributes` called it text."""
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    write(source, {"old.txt": CRLF, "new.txt": "a\nb\n", "a.py": "a = 1\n"})
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=First")
    write(source, {".gitattributes": "*.txt text\n"})
    git(source, "add", ".gitattributes")
    git(source, "commit", "--quiet", "--message=Attributes")
    return source


def _landed(ground: Ground) -> list[str]:
    return git(ground.hub.folder, "diff", "--name-only", "main~1", "main").split()


def test_a_file_whose_normal_form_is_another_one_does_not_land(ground: Ground, rung: WorkspaceBackend) -> None:
    workspace = ground.open()
    assert workspace.changes() == Changes()
    os.utime(workspace.path / "old.txt")
    (workspace.path / "old.txt").write_bytes(CRLF)
    assert workspace.changes() == Changes()
    write(workspace.path, {"a.py": "a = 2\n"})
    (workspace.path / "old.txt").chmod(0o755)
    assert isinstance(ground.land(workspace), Landed)
    assert _landed(ground) == ["a.py", "old.txt"]
    assert ground.on_trunk("old.txt") == CRLF
    other = ground.open(1)
    assert other.changes() == Changes()
    write(other.path, {"old.txt": CRLF.replace(b"line 7\r", b"seven\r")})
    assert isinstance(ground.land(other), Landed)
    assert _landed(ground) == ["old.txt"]


def test_it_is_moved_with_the_trunk_when_another_one_changes_it(ground: Ground) -> None:
    one, two = ground.open(1), ground.open(2)
    os.utime(two.path / "old.txt")
    write(one.path, {"old.txt": "short\n"})
    write(two.path, {"b.py": "b = 1\n", ".ignored": "x\n"})
    assert isinstance(ground.land(one), Landed)
    assert isinstance(ground.land(two), Landed)
    assert (two.path / "old.txt").read_bytes() == b"short\n"


def test_the_rules_of_the_trunk_reach_files_that_stand_and_files_that_land_beside_them(ground: Ground) -> None:
    one, two = ground.open(1), ground.open(2)
    write(one.path, {".gitattributes": "*.txt text eol=crlf\n"})
    write(two.path, {"mine.txt": "x\ny\r\n"})
    assert isinstance(ground.land(one), Landed)
    assert isinstance(ground.land(two), Landed)
    assert two.changes() == Changes()
    assert (two.path / "new.txt").read_bytes() == b"a\r\nb\r\n"
    assert (two.path / "mine.txt").read_bytes() == b"x\r\ny\r\n"
    three, four = ground.open(3), ground.open(4)
    assert (three.path / "new.txt").read_bytes() == b"a\r\nb\r\n"
    write(three.path, {".gitattributes": None})
    write(four.path, {"mine.txt": b"z\r\n"})
    assert isinstance(ground.land(three), Landed)
    assert isinstance(ground.land(four), Landed)
    write(two.path, {"more.py": "more = 1\n"})
    assert isinstance(ground.land(two), Landed)
    assert all(workspace.changes() == Changes() for workspace in (two, three, four))
    for workspace in (two, four):
        assert (workspace.path / "new.txt").read_bytes() == b"a\nb\n"
    assert ground.on_trunk("mine.txt") == b"z\n"


NORMAL = CRLF.replace(b"\r", b"")
MEANWHILE = [
    ("b.py", b"b = 3\n", b"short\n"),
    ("b.py", b"b = 3\n", None),
    ("old.txt", b"mine\n", b"short\n"),
    ("old.txt", NORMAL, b"short\n"),
    ("old.txt", NORMAL, None),
    ("c.py", b"c = 1\n", NORMAL),
]
"""What is written while a landing moves the workspace, and what the trunk made of the file of before."""


@pytest.mark.parametrize(("path", "content", "trunk"), MEANWHILE)
def test_a_file_that_is_written_while_others_move_is_kept_and_touches_no_other(
    ground: Ground, path: str, content: bytes, trunk: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = ground.open(1), ground.open(2)
    write(one.path, {"b.py": "b = 2\n", "old.txt": "to be changed"})
    write(one.path, {"old.txt": trunk})
    assert isinstance(ground.land(one), Landed)
    os.utime(two.path / "old.txt")
    write(two.path, {"a.py": "a = 2\n"})
    move, scans = Workspace.move, list[Scan]()

    def write_first(self: Workspace, now: Scan, to: Move, *, over_ignored: bool = False) -> bool:
        if not scans:
            write(two.path, {path: content})
        scans.append(now)
        return move(self, now, to, over_ignored=over_ignored)

    monkeypatch.setattr(Workspace, "move", write_first)
    outcome = ground.land(two)
    assert isinstance(outcome, Landed)
    assert scans[0].normal is not None, "git does not call the file of before modified"
    assert set(outcome.conflicted) <= {path}
    for other, wanted in {"b.py": b"b = 2\n", "old.txt": trunk}.items():
        if other != path:
            assert _content(two.path / other) == wanted
    kept = ground.hub.read_file(outcome.before, path) if outcome.before else _content(two.path / path)
    assert kept == content


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
