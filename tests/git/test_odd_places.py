"""HEADWAY_HOME may have any name: no character of it becomes syntax of git, of the kernel or of a database."""

import os
from pathlib import Path

import pytest

from headway.git import maintenance
from headway.git.landing.bounded_merge import merge_trees
from headway.git.landing.landing import Conflicted, Landed
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, allowed, git, write

ODD = {
    "colon": "at 20:26",
    "list": "a,b;c:d",
    "quotes": '"it\'s"',
    "newline": "two\nlines",
    "backslash": "a\\b\\072",
    "address": "a#b?c%20d",
    "pattern": "[ab]*{c,d}$HOME",
    "unicode": "häuser",
    "no text": os.fsdecode(b"\xff\xfe"),
    "dash": "-rf",
}


@pytest.mark.parametrize("rung", RUNGS)
def test_everything_works_below_a_name_of_all_characters(source: Path, tmp_path: Path, rung: WorkspaceBackend) -> None:
    _works(Ground.prepare(tmp_path / " ".join(ODD.values()) / "state", source, rung))


@pytest.mark.long
@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("name", ODD.values(), ids=ODD.keys())
def test_everything_works_below_each_name(source: Path, tmp_path: Path, name: str, rung: WorkspaceBackend) -> None:
    _works(Ground.prepare(tmp_path / name / "state", source, rung))


def _works(ground: Ground) -> None:
    one, two, three = (ground.open(number) for number in range(3))
    app = (one.path / "src/app.py").read_text()
    write(one.path, {"src/app.py": f"first\n{app}"})
    write(two.path, {"src/app.py": f"{app}last\n"})
    write(three.path, {"src/app.py": f"other\n{app}"})
    assert isinstance(ground.land(one), Landed)
    assert isinstance(ground.land(two), Landed)
    assert isinstance(ground.land(three), Conflicted)
    assert snapshot(ground.hub, three, three.task, allowed) is not None
    assert git(two.path, "status", "--porcelain") == ""
    assert "src/app.py" in git(two.path, "show", "--stat", "HEAD")
    assert maintenance.tidy(ground.hub.folder)
    assert len(ground.hub.landed_by(one.task)) == 1
    trees = [ground.hub.repo.tree_of(commit) for commit in (ground.facts.base, ground.hub.tip())]
    assert merge_trees(ground.hub.repo, trees[0], trees[1], trees[1]).tree == trees[1]
    ground.check_whole()
