"""Publishing: the trunk goes to one branch of the user's repository, and never over somebody else's commits."""

from pathlib import Path

import pytest

from headway.git.workspace import Workspace
from tests.git.ground import Ground, git, write

BRANCH = "headway/tidy-up/main"


@pytest.fixture
def workspace(ground: Ground) -> Workspace:
    return ground.open()


def _land(ground: Ground, workspace: Workspace, text: str) -> str:
    write(workspace.path, {"new.txt": text})
    ground.land(workspace)
    return ground.hub.tip()


def test_the_branch_follows_the_trunk_and_nothing_else_moves(
    ground: Ground, source: Path, workspace: Workspace
) -> None:
    write(source, {"README.md": "being edited\n"})
    for text in ("one\n", "two\n"):
        tip = _land(ground, workspace, text)
        assert ground.hub.publish(BRANCH) == ""
        assert git(source, "rev-parse", BRANCH) == tip
    assert ground.hub.publish(BRANCH) == ""
    assert git(source, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(source, "status", "--porcelain") == "M README.md"
    assert git(source, "for-each-ref", "--format=%(refname)").split() == [f"refs/heads/{BRANCH}", "refs/heads/main"]


def test_a_branch_that_is_checked_out_is_left_alone(ground: Ground, source: Path, workspace: Workspace) -> None:
    ground.hub.publish(BRANCH)
    git(source, "config", "receive.denyCurrentBranch", "updateInstead")
    git(source, "checkout", "--quiet", BRANCH)
    before = git(source, "rev-parse", "HEAD")
    _land(ground, workspace, "one\n")
    problem = ground.hub.publish(BRANCH)
    assert "is checked out" in problem
    assert "\n" not in problem
    assert git(source, "rev-parse", "HEAD") == before
    git(source, "checkout", "--quiet", "main")
    git(source, "worktree", "add", "--quiet", str(source.parent / "tree"), BRANCH)
    assert "is checked out" in ground.hub.publish(BRANCH)
    git(source, "worktree", "remove", str(source.parent / "tree"))
    assert ground.hub.publish(BRANCH) == ""


def test_commits_of_others_are_never_overwritten(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "one\n")
    ground.hub.publish(BRANCH)
    foreign = git(source, "commit-tree", "-p", BRANCH, "-m", "Mine", f"{BRANCH}^{{tree}}")
    git(source, "update-ref", f"refs/heads/{BRANCH}", foreign)
    _land(ground, workspace, "two\n")
    assert "moved by someone else" in ground.hub.publish(BRANCH)
    assert git(source, "rev-parse", BRANCH) == foreign
    git(source, "branch", "--quiet", "-D", BRANCH)
    assert ground.hub.publish(BRANCH) == ""


def test_a_branch_that_was_set_back_goes_forward_again(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "one\n")
    ground.hub.publish(BRANCH)
    git(source, "update-ref", f"refs/heads/{BRANCH}", ground.facts.base)
    tip = _land(ground, workspace, "two\n")
    assert ground.hub.publish(BRANCH) == ""
    assert git(source, "rev-parse", BRANCH) == tip


def test_what_stands_in_the_way_is_told_in_words(ground: Ground, source: Path, workspace: Workspace) -> None:
    git(source, "branch", "headway")
    assert "cannot publish" in ground.hub.publish(BRANCH)
    git(source, "branch", "-D", "headway")
    hook = source / ".git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no pushes on Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "no pushes on Friday" in ground.hub.publish(BRANCH)
    source.rename(source.with_name("moved"))
    assert "the folder is gone" in ground.hub.publish(BRANCH)
