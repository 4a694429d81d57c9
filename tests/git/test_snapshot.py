"""Snapshots: what is on no trunk is on a ref, each on top of the one before."""

import os
import threading

import pytest

from headway.domain.errors import LeaseLost
from headway.git.landing.landing import Landed, LandingRefused
from headway.git.workspace.snapshot import newest, ref_of, snapshot
from tests.git.ground import RUNGS, Ground, allowed, git, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)


def test_there_is_none_when_nothing_differs(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"noise.log": "ignored\n", ".headway/notes": "never\n"})
    assert snapshot(ground.hub, workspace, workspace.task, allowed) is None
    assert newest(ground.hub, workspace.task) is None


def test_it_holds_every_file_and_touches_nothing(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"staged.txt": "staged\n", "new.txt": "new\n", "README.md": None, "noise.log": "ignored\n"})
    git(workspace.path, "add", "staged.txt")
    index = (workspace.path / ".git/index").read_bytes()
    kept = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert kept is not None
    assert kept.ref == f"refs/headway/wip/{workspace.task}" == ref_of(workspace.task)
    listed = git(ground.hub.folder, "ls-tree", "-r", "--name-only", kept.ref).split("\n")
    assert listed == [".gitignore", "new.txt", "src/app.py", "staged.txt"]
    assert (workspace.path / ".git/index").read_bytes() == index
    assert (kept.base, kept.attempt) == (workspace.base, 1)


def test_each_stands_on_the_one_before(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n"})
    first = snapshot(ground.hub, workspace, workspace.task, allowed)
    write(workspace.path, {"new.txt": "two\n"})
    second = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert first is not None
    assert second is not None
    assert git(ground.hub.folder, "rev-parse", f"{second.commit}^1") == first.commit
    assert snapshot(ground.hub, workspace, workspace.task, allowed) == second
    assert newest(ground.hub, workspace.task) == second
    ground.check_whole()


def test_without_the_lease_no_ref_moves(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n"})

    def lost() -> None:
        raise LeaseLost("a newer holder works")

    with pytest.raises(LeaseLost):
        snapshot(ground.hub, workspace, workspace.task, lost)
    assert newest(ground.hub, workspace.task) is None


def test_a_lock_that_a_killed_git_left_does_not_stop_it_for_ever(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n"})
    lock = ground.hub.folder / f"{ref_of(workspace.task)}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert snapshot(ground.hub, workspace, workspace.task, allowed) is not None
    assert not lock.exists()


def test_what_it_cannot_hold_is_told(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n", "cloned/file": "x\n"})
    git(workspace.path / "cloned", "init", "--quiet")
    git(workspace.path / "cloned", "add", "file")
    git(workspace.path / "cloned", "commit", "--quiet", "--message=Theirs")
    kept = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert kept is not None
    assert kept.left_out == ("cloned",)
    assert "new.txt" in git(ground.hub.folder, "ls-tree", "-r", "--name-only", kept.commit)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_it(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n", "secret": "x\n"})
    (workspace.path / "secret").chmod(0)
    kept = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert kept is not None
    assert kept.left_out == ("secret",)
    assert workspace.changes().unreadable == ("secret",)
    assert "new.txt" in git(ground.hub.folder, "ls-tree", "-r", "--name-only", kept.commit)
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert refused.paths == ("secret",)
    assert isinstance(ground.land(workspace, paths=("new.txt",)), Landed)


def test_it_can_be_taken_while_the_agent_works_and_lands(ground: Ground) -> None:
    workspace = ground.open()
    failed: list[BaseException] = []

    def snapshots() -> None:
        try:
            for _ in range(6):
                snapshot(ground.hub, workspace, workspace.task, allowed)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    thread = threading.Thread(target=snapshots)
    thread.start()
    for number in range(4):
        write(workspace.path, {f"f{number}.txt": f"{number}\n"})
        ground.land(workspace)
    thread.join()
    assert failed == []
    assert ground.landings() == 4
