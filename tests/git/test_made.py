"""What `setup` left in the files is no agent's change, until the agent touches it or names it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Landed, NothingToLand
from headway.git.workspace import overlay
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from tests.git.ground import RUNGS, Ground, allowed, git, make_repository, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)

NAMES = ("build-info.txt", "gen/made.txt", "version.txt")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "source", {"version.txt": "1\n", "a.txt": "a\n"})


@pytest.fixture
def set_up(ground: Ground, tmp_path: Path) -> Iterator[Ground]:
    """A run whose layers `setup` has seen, where there are layers."""
    if ground.workspaces.level == "overlay":
        build = ground.workspaces.generations.begin()
        assert build is not None
        with build:
            _run_setup(build.path)
            build.publish(None)
    yield ground
    overlay.unmount_below(tmp_path)


def _run_setup(top: Path) -> None:
    write(top, {"version.txt": "2\n", "build-info.txt": "generated\n", "gen/made.txt": "made\n"})
    if not (top / "dep").exists():
        (top / "dep").mkdir()
        git(top / "dep", "init", "--quiet")


def _open(ground: Ground, number: int, lease: int = 1) -> Workspace:
    workspace = ground.open(number, lease=lease)
    if ground.workspaces.level == "clone" or workspace.rebuilt:
        _run_setup(workspace.path)
        with workspace.held():
            workspace.note_setup_changes()
    return workspace


def _landed(ground: Ground) -> list[str]:
    return git(ground.hub.folder, "diff", "--name-only", ground.facts.base, "main").split()


def test_it_is_told_by_name_and_does_not_land(set_up: Ground) -> None:
    workspace = _open(set_up, 1)
    made = workspace.made()
    assert made is not None
    assert made.names(set_up.hub.repo) == tuple(sorted((*NAMES, "dep")))
    assert workspace.changes() == Changes()
    assert set_up.land(workspace) == NothingToLand(set_up.hub.tip())
    assert snapshot(set_up.hub, workspace, workspace.task, allowed) is None
    write(workspace.path, {"one.txt": "x\n"})
    assert isinstance(set_up.land(workspace), Landed)
    assert _landed(set_up) == ["one.txt"]
    assert (workspace.path / "version.txt").read_text() == "2\n"
    assert workspace.changes().paths == ()
    set_up.workspaces.remove(workspace)


def test_it_lands_when_the_agent_touched_it_or_names_it(set_up: Ground) -> None:
    workspace = _open(set_up, 1)
    write(workspace.path, {"version.txt": "3\n"})
    assert isinstance(set_up.land(workspace), Landed)
    assert _landed(set_up) == ["version.txt"]
    assert isinstance(set_up.land(workspace, paths=("build-info.txt",)), Landed)
    assert _landed(set_up) == ["build-info.txt", "version.txt"]
    write(workspace.path, {"gen/own.txt": "own\n"})
    assert isinstance(set_up.land(workspace, paths=("gen",)), Landed)
    assert _landed(set_up) == ["build-info.txt", "gen/own.txt", "version.txt"]
    assert isinstance(set_up.land(workspace, paths=("gen",)), Landed)
    assert set_up.on_trunk("gen/made.txt") == b"made\n"


def test_it_gives_way_to_the_trunk(set_up: Ground) -> None:
    one, two = _open(set_up, 1), _open(set_up, 2)
    write(one.path, {"version.txt": "one\n", "build-info.txt": "one\n"})
    assert isinstance(set_up.land(one), Landed)
    write(two.path, {"two.txt": "two\n"})
    landed = set_up.land(two)
    assert isinstance(landed, Landed)
    assert landed.conflicted == ()
    assert (two.path / "version.txt").read_text() == "one\n"
    assert (two.path / "build-info.txt").read_text() == "one\n"
    assert (two.path / "gen/made.txt").read_text() == "made\n"
    assert two.changes().paths == ()


def test_a_workspace_that_is_opened_later_has_the_trunks_files_and_the_rest_of_it(set_up: Ground) -> None:
    one = _open(set_up, 1)
    write(one.path, {"version.txt": "one\n"})
    assert isinstance(set_up.land(one), Landed)
    later = set_up.open(3)
    assert (later.path / "version.txt").read_text() == "one\n"
    if set_up.workspaces.level == "overlay":
        assert (later.path / "build-info.txt").read_text() == "generated\n"
    assert later.changes().paths == ()


def test_a_workspace_that_is_rebuilt_knows_it_again(set_up: Ground) -> None:
    workspace = _open(set_up, 1)
    write(workspace.path, {"half.txt": "half\n", "build-info.txt": "by the agent\n"})
    kept = snapshot(set_up.hub, workspace, workspace.task, allowed)
    assert kept is not None
    assert workspace.changes().paths == ("build-info.txt", "half.txt")
    set_up.workspaces.discard(workspace)
    again = _open(set_up, 1, lease=2)
    assert again.rebuilt
    assert again.changes().paths == ("build-info.txt", "half.txt")
    assert (again.path / "version.txt").read_text() == "2\n"
