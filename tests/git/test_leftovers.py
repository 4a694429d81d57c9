"""What killed processes and ended runs left: found, shown, and reclaimed without losing anybody's work."""

import os
import signal
from pathlib import Path

import pytest

from headway.domain.ids import AgentId
from headway.git.gc import reclaim, reclaimable
from headway.git.workspace import nested, overlay
from headway.git.workspace.notes import load_owner, store_owner
from headway.git.workspace.snapshot import newest
from tests.git.ground import RUN, RUNGS, Ground, git, task, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)


def _sweep(ground: Ground, *ended: int, run_ended: bool = False) -> list[str]:
    """Reclaim everything that is found, and say what kinds that was."""
    over = {task(number) for number in ended}
    found = reclaimable(ground.workspaces, lambda asked: asked in over, run_ended=run_ended)
    assert [why for left in found if (why := reclaim(ground.workspaces, left))] == []
    return [left.kind for left in found]


def _names(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir() if place.is_dir()}


def test_the_workspace_of_a_task_that_was_terminated_goes_and_its_work_stays(ground: Ground) -> None:
    gone, alive = ground.open(1), ground.open(2)
    write(gone.path, {"half.txt": "half done\n"})
    write(alive.path, {"half.txt": "half done\n"})
    assert _sweep(ground, 1) == ["workspace"]
    kept = newest(ground.hub, task(1))
    assert kept is not None
    assert git(ground.hub.folder, "show", f"{kept.commit}:half.txt") == "half done"
    assert not gone.home.exists()
    assert alive.changes().paths == ("half.txt",)
    assert _sweep(ground, 1) == []


def test_nothing_of_a_task_is_found_while_it_is_open(ground: Ground) -> None:
    ground.open(1)
    assert _sweep(ground) == []
    assert reclaimable(ground.workspaces, lambda _: True, run_ended=False) != []


def test_a_step_that_is_under_way_keeps_its_workspace(ground: Ground) -> None:
    import fcntl

    workspace = ground.open(1)
    with (workspace.home / "work.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert _sweep(ground, 1) == []
    assert _sweep(ground, 1) == ["workspace"]


def test_work_that_cannot_be_kept_stays_where_it_is(ground: Ground) -> None:
    workspace = ground.open(1)
    write(workspace.path, {"git~1": "a name that git refuses\n"})
    found = reclaimable(ground.workspaces, lambda _: True, run_ended=False)
    assert "git~1" in reclaim(ground.workspaces, found[0])
    assert (workspace.path / "git~1").exists()


def test_a_check_whose_process_was_killed_leaves_nothing_for_long(ground: Ground) -> None:
    pid = os.fork()
    if pid == 0:
        ground.workspaces.open(AgentId(f"{RUN}/check-1"), 1, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    mine = ground.workspaces.open(AgentId(f"{RUN}/check-2"), 1, 1)
    assert _sweep(ground) == ["check"]
    assert mine.path.is_dir()
    assert len(list(mine.home.parent.glob("check-*"))) == 1


def test_what_was_set_aside_after_a_crash_goes_with_its_task(ground: Ground) -> None:
    workspace = ground.open(1)
    write(workspace.path, {"lost.txt": "lost\n"})
    owner = load_owner(workspace.home)
    assert owner is not None
    store_owner(workspace.home, owner.model_copy(update={"boot_id": "an earlier boot"}))
    ground.open(1, lease=2)
    assert _sweep(ground) == []
    assert sorted(_sweep(ground, 1)) == ["stale", "workspace"]


def test_the_rests_of_killed_processes_are_found(ground: Ground) -> None:
    workspace = ground.open(1)
    parent = workspace.home.parent
    for name in (".x-1.new", ".x-2.gone", ".x-3.upper"):
        (parent / name).mkdir()
    assert sorted(_sweep(ground)) == ["rest", "rest", "rest"]
    assert _names(parent) >= {workspace.home.name}
    assert workspace.changes().paths == ()


def test_an_ended_run_keeps_no_copy_and_no_mount(ground: Ground) -> None:
    for number in range(3):
        write(ground.open(number).path, {"half.txt": f"{number}\n"})
    _sweep(ground, 0, 1, 2, run_ended=True)
    _sweep(ground, 0, 1, 2, run_ended=True)
    assert overlay.mounted_below(ground.workspaces.folder.parent) == []
    state = ground.workspaces.folder.parent
    assert [place.name for place in state.glob("generations/[0-9]*")] == []
    assert [place.name for place in state.glob("pool/*")] == []
    assert all(newest(ground.hub, task(number)) is not None for number in range(3))


def test_a_workspace_with_repositories_inside_goes_and_their_files_stay(ground: Ground) -> None:
    workspace = ground.open(1)
    write(workspace.path, {"app/main.rs": "fn main\n", "app/.gitignore": "target/\n", "app/target/big": "x\n"})
    write(workspace.path, {"app/dep/lib.rs": "inside\n", "app/committed.txt": "committed\n"})
    for folder in ("app", "app/dep"):
        git(workspace.path / folder, "init", "--quiet")
    git(workspace.path / "app", "add", "committed.txt")
    git(workspace.path / "app", "commit", "--quiet", "--message=Own")
    assert _sweep(ground, 1) == ["workspace"]
    assert not workspace.home.exists()
    ref = f"refs/headway/nested/{task(1)}"
    names = git(ground.hub.folder, "ls-tree", "-r", "--name-only", ref).split()
    assert names == ["app/.gitignore", "app/committed.txt", "app/dep/lib.rs", "app/main.rs"]
    again = ground.open(1, attempt=2)
    git(again.path, "init", "--quiet", "other")
    write(again.path, {"other/more.txt": "more\n"})
    ground.workspaces.remove(again)
    assert git(ground.hub.folder, "rev-list", "--count", ref) == "2"


def test_a_large_repository_inside_is_not_kept(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "MOST_FILES", 2)
    workspace = ground.open(1)
    git(workspace.path, "init", "--quiet", "copy")
    write(workspace.path, {f"copy/{number}": "x\n" for number in range(3)})
    assert _sweep(ground, 1) == ["workspace"]
    assert git(ground.hub.folder, "for-each-ref", nested.REF) == ""
