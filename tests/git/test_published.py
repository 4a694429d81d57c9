"""Taking published branches away again: only what we put there, and only where we left it."""

from pathlib import Path

import pytest

from headway.domain.errors import TransientError
from headway.git.published import Branch, branches, commits_only_in, withdraw
from headway.git.unlanded import unlanded
from headway.git.workspace.snapshot import snapshot
from tests.git.ground import Ground, allowed, git, task, write

BRANCH = "headway/tidy-up/main"


@pytest.fixture
def published(ground: Ground) -> Branch:
    """A run with one commit on its trunk and on its branch."""
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\n"})
    ground.land(workspace)
    assert ground.hub.publish(BRANCH).problem == ""
    (branch,) = branches(ground.hub)
    return branch


def test_a_branch_that_nobody_moved_is_taken_away_once(ground: Ground, source: Path, published: Branch) -> None:
    assert (published.name, published.kept, published.elsewhere) == (BRANCH, "", ())
    assert published.there == ground.hub.tip()
    assert withdraw(ground.hub, published) == ""
    assert git(source, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    (again,) = branches(ground.hub)
    assert "not there any more" in again.kept


def test_a_branch_with_commits_of_the_users_stays(ground: Ground, source: Path, published: Branch) -> None:
    mine = git(source, "commit-tree", "-p", BRANCH, "-m", "Mine", f"{BRANCH}^{{tree}}")
    git(source, "update-ref", f"refs/heads/{BRANCH}", mine)
    assert "stays" in withdraw(ground.hub, published), "moved after it was looked at"
    (now,) = branches(ground.hub)
    assert "moved by someone else" in now.kept
    assert "moved by someone else" in withdraw(ground.hub, now)
    assert git(source, "rev-parse", BRANCH) == mine


def test_a_branch_that_is_checked_out_stays(ground: Ground, source: Path, published: Branch) -> None:
    git(source, "worktree", "add", "--quiet", str(source.parent / "tree"), BRANCH)
    (now,) = branches(ground.hub)
    assert now.kept == "it is checked out"
    assert "checked out" in withdraw(ground.hub, now)


def test_what_else_holds_its_commits_is_known(ground: Ground, source: Path, published: Branch) -> None:
    git(source, "branch", "mine", BRANCH)
    git(source, "tag", "v1", BRANCH)
    assert branches(ground.hub)[0].elsewhere == ("mine", "v1")


def test_a_repository_that_is_gone_is_told(ground: Ground, source: Path, published: Branch) -> None:
    source.rename(source.with_name("moved"))
    with pytest.raises(TransientError, match="does not answer"):
        branches(ground.hub)


def test_commits_that_only_the_trunk_holds_are_counted(ground: Ground, published: Branch) -> None:
    assert commits_only_in(ground.hub, []) == 1
    assert commits_only_in(ground.hub, [published.ours]) == 0


def test_unlanded_work_is_what_a_snapshot_holds_and_the_trunk_does_not(ground: Ground) -> None:
    landed, left = ground.open(1), ground.open(2)
    write(landed.path, {"landed.txt": "one\n"})
    write(left.path, {"left.txt": "two\n", "landed.txt": "one\n"})
    for number, workspace in ((1, landed), (2, left)):
        snapshot(ground.hub, workspace, task(number), allowed)
    ground.land(landed)
    assert [(kept.task, kept.paths) for kept in unlanded(ground.hub)] == [(task(2), ("left.txt",))]
