"""A repository behind a URL, served by git's own daemon: fetched and published with the user's configuration."""

from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.git.hub import Hub
from headway.git.landing.landing import Landed, Landing
from headway.git.workspace.workspaces import Workspaces
from tests.git.ground import Ground, git, held, write


def test_a_url_is_fetched_and_its_branch_published(url: str, source: Path, tmp_path: Path) -> None:
    hub = Hub(tmp_path / "state" / "hub.git")
    facts = hub.prepare(url, None)
    assert (facts.base, facts.branch, facts.source) == (git(source, "rev-parse", "HEAD"), "main", url)
    assert git(hub.folder, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    ground = Ground(hub, facts, Workspaces(tmp_path / "workspaces", hub), Landing(hub, held))
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    assert isinstance(ground.land(workspace), Landed)
    assert hub.foresee_publishing("headway/tidy-up/main") == ""
    assert hub.publish("headway/tidy-up/main").problem == ""
    assert git(tmp_path / "served" / "repo.git", "rev-parse", "headway/tidy-up/main") == hub.tip()


def test_a_url_that_takes_no_push_is_told_at_the_start(url: str, tmp_path: Path) -> None:
    git(tmp_path / "served" / "repo.git", "config", "daemon.receivepack", "false")
    hub = Hub(tmp_path / "state" / "hub.git")
    hub.prepare(url, None)
    assert "cannot publish to git://" in hub.foresee_publishing("headway/tidy-up/main")


def test_a_commit_that_no_branch_names_any_more_is_fetched_by_its_id(url: str, source: Path, tmp_path: Path) -> None:
    served = tmp_path / "served" / "repo.git"
    commit = git(served, "commit-tree", "-p", "HEAD", "-m", "Alone", "HEAD^{tree}")
    git(served, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert Hub(tmp_path / "hub.git").prepare(url, commit).base == commit


def test_a_base_that_the_url_does_not_have_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no branch, tag or commit 'gone'"):
        Hub(tmp_path / "hub.git").prepare(url, "gone")
