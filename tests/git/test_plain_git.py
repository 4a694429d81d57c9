"""Situations that random histories reach seldom, each judged by plain git in a fresh clone."""

import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from headway.git.landing.landing import Landed
from headway.git.repo import Repo
from headway.git.workspace import scan
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, git, make_repository, write
from tests.git.judge import Judge, Seen

NAMES = ("-.txt", "mine.txt", "d/mine.txt", "d/mine.dat", "f/mine.txt")
CRLF = "x\r\ny\r\n"


def _link(place: Path, target: str) -> None:
    place.unlink()
    place.symlink_to(target)


def _folder(place: Path, *, repository: bool = False) -> None:
    place.unlink()
    write(place, {"mine.txt": CRLF})
    if repository:
        git(place, "init", "--quiet")


def _moved_and_ignored(top: Path) -> None:
    write(top, {".gitignore": ".gitattributes\n"})
    (top / "e").mkdir()
    (top / ".gitattributes").rename(top / "e/.gitattributes")


def _link_and_ignored(top: Path) -> None:
    write(top, {".gitignore": ".gitattributes\n"})
    _link(top / ".gitattributes", "missing")


RULES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda top: (top / ".gitattributes").unlink(),
    "deleted in a folder": lambda top: (top / "d/.gitattributes").unlink(),
    "modified": lambda top: (top / ".gitattributes").write_text("*.txt -text\n"),
    "added": lambda top: (top / "f/.gitattributes").write_text("*.txt -text\n"),
    "moved, and ignored": _moved_and_ignored,
    "a link, and ignored": _link_and_ignored,
    "a link that names rules": lambda top: _link(top / ".gitattributes", "* text"),
    "a new link that names rules": lambda top: (top / "f/.gitattributes").symlink_to("* -text"),
    "a folder": lambda top: _folder(top / ".gitattributes"),
    "a repository": lambda top: _folder(top / ".gitattributes", repository=True),
}
"""What an agent makes of rules under which files have landed that it wrote with CRLF, and that it leaves alone now."""


def _repository(place: Path, files: dict[str, str | bytes | None] | None) -> None:
    """One in the place of what is there; with files in a commit, or empty."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    if files is not None:
        make_repository(place, files)
    else:
        git(place.parent, "init", "--quiet", place.name)


def _around(place: Path) -> None:
    git(place, "init", "--quiet")
    write(place, {"new": "x\n"})


_once = scan._is

FILES: dict[str, Callable[[Path], object]] = {
    "a repository in the place of a file": lambda top: _folder(top / "mine.txt", repository=True),
    "a repository with a commit in the place of a file": lambda top: _repository(top / "mine.txt", {"inside": "x\n"}),
    "an empty repository where all files went": lambda top: _repository(top / "f", None),
    "a repository with a commit where all files went": lambda top: _repository(top / "f", {"inside": "x\n"}),
    "a repository around files": lambda top: _around(top / "f"),
}


def _told(workspace: Workspace) -> object:
    found = workspace.changes()
    by = {"A": found.added, "M": found.modified, "D": found.deleted}
    with workspace.held():
        return workspace.scan().files, {path: how for how, paths in by.items() for path in paths}, found.nested


def _judged(seen: Seen) -> object:
    return seen.tree, seen.changes, seen.nested


def _compared(
    place: Path, rung: WorkspaceBackend, situations: Mapping[str, Callable[[Path], object]]
) -> tuple[object, object]:
    """What a scan tells of each situation, and what plain git tells."""
    rules = {".gitattributes": "*.txt text\n", "d/.gitattributes": "*.dat text\n"}
    source = make_repository(place / "source", {**dict.fromkeys(NAMES, "x\ny\n"), **rules})
    ground = Ground.prepare(place / "state", source, rung)
    judge = Judge(place / "judge", ground.hub.folder)
    found, judged = {}, {}
    for number, (name, change) in enumerate(situations.items()):
        workspace = ground.open(number)
        if name in RULES:
            write(workspace.path, {**dict.fromkeys(NAMES, CRLF.replace("x", name)), "landed": name})
            assert isinstance(ground.land(workspace), Landed)
        change(workspace.path)
        if rung == "overlay" and number % 2:
            # With another rule of what is ignored all its files are looked at, too.
            write(workspace.path, {".gitignore": "*.log\n.gitattributes\n"})
        judged[name] = _judged(judge.look(workspace.base, workspace.path))
        found[name] = _told(workspace)
    return found, judged


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_it_is_seen_as_plain_git_sees_it(tmp_path: Path, rung: WorkspaceBackend) -> None:
    found, judged = _compared(tmp_path, rung, {**RULES, **FILES})
    assert found == judged


def _gone_rules_are_followed(patch: pytest.MonkeyPatch) -> None:
    once = scan.differing

    def after_a_refresh(tree: Repo, only: Collection[bytes] = ()) -> tuple[set[bytes], set[bytes]]:
        if not only:
            scan.refresh(tree)
        return once(tree, only)

    patch.setattr(scan, "differing", after_a_refresh)


def _links_are_taken_with_the_rest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scan, "_is", lambda kind, *place: kind is not stat.S_ISLNK and _once(kind, *place))


def _repositories_are_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scan, "_replaced_by_folders", lambda *_: (set(), set()))


FAULTS = {
    "deleted": _gone_rules_are_followed,
    "a link that names rules": _links_are_taken_with_the_rest,
    "a repository in the place of a file": _repositories_are_not_told,
}
"""A situation, and a fault of before that it has to show."""


@pytest.mark.long
@pytest.mark.parametrize("situation", FAULTS)
def test_a_fault_of_before_is_seen(tmp_path: Path, situation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[situation](monkeypatch)
    found, judged = _compared(tmp_path, "clone", {situation: {**RULES, **FILES}[situation]})
    assert found != judged
