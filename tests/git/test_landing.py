"""Landing: the files of a workspace become one commit on the trunk, whatever others landed meanwhile."""

import os

import pytest

from headway.domain.errors import LeaseLost, ToolError
from headway.git.changes import Changes
from headway.git.landing.landing import Landed, NothingToLand
from headway.git.workspace.workspace import Workspace
from tests.git.ground import AUTHOR, Ground, git, write


def _stands_clean_on(workspace: Workspace, commit: str) -> bool:
    seen = git(workspace.path, "status", "--porcelain"), git(workspace.path, "rev-parse", "HEAD")
    return seen == ("", commit) and workspace.base == commit and workspace.changes() == Changes()


def test_a_change_becomes_one_commit_with_its_origin(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"src/app.py": "print()\n", "new.txt": "new\n", "README.md": None, "noise.log": "ignored\n"})
    outcome = ground.land(workspace, "Rewrite the app\n\nIt had to be.\n\nReviewed-by: nobody\n")
    assert isinstance(outcome, Landed)
    assert outcome.commit == outcome.trunk == ground.hub.tip()
    assert (outcome.others, outcome.conflicted) == ((), ())
    assert ground.landings() == 1
    assert ground.hub.changed_paths(ground.facts.base, outcome.commit) == ["README.md", "new.txt", "src/app.py"]
    assert git(ground.hub.folder, "log", "-1", "--format=%an <%ae>|%cn <%ce>", outcome.commit) == f"{AUTHOR}|{AUTHOR}"
    lines = git(ground.hub.folder, "log", "-1", "--format=%B", outcome.commit).split("\n")
    assert lines[:5] == ["Rewrite the app", "", "It had to be.", "", "Reviewed-by: nobody"]
    assert lines[6:10] == [
        "Headway-Run: tidy-up",
        f"Headway-Task: {workspace.task}",
        "Headway-Planner: tidy-up/root-0a1b2c3d",
        f"Headway-Place: {workspace.task}:0",
    ]
    assert lines[10].startswith("Headway-Submission: ")
    assert _stands_clean_on(workspace, outcome.commit)
    assert (workspace.path / "noise.log").exists()


def test_the_agents_own_commits_and_branches_do_not_matter(ground: Ground) -> None:
    workspace = ground.open()
    git(workspace.path, "checkout", "--quiet", "-b", "mine")
    write(workspace.path, {"new.txt": "one\n"})
    git(workspace.path, "add", "--all")
    git(workspace.path, "commit", "--quiet", "--message=One")
    write(workspace.path, {"new.txt": "two\n"})
    outcome = ground.land(workspace)
    assert isinstance(outcome, Landed)
    assert ground.on_trunk("new.txt") == b"two\n"
    assert ground.landings() == 1
    assert _stands_clean_on(workspace, outcome.commit)
    assert git(workspace.path, "show", "mine:new.txt") == "one"


def test_work_goes_on_top_of_what_others_landed(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"first.txt": "1\n", "src/app.py": (first.path / "src/app.py").read_text() + "the end\n"})
    write(second.path, {"second.txt": "2\n", "src/app.py": "the start\n" + (second.path / "src/app.py").read_text()})
    ground.land(first)
    outcome = ground.land(second)
    assert isinstance(outcome, Landed)
    assert outcome.others == ("first.txt", "src/app.py")
    text = ground.on_trunk("src/app.py").decode()
    assert text.startswith("the start\n")
    assert text.endswith("the end\n")
    assert _stands_clean_on(second, outcome.commit)
    assert (second.path / "first.txt").exists()
    assert ground.hub.landed(ground.facts.base)[0].task == first.task


def test_there_may_be_nothing_to_land(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"noise.log": "ignored\n"})
    assert ground.land(workspace) == NothingToLand(ground.facts.base)


def test_what_somebody_else_landed_already_is_nothing_and_the_workspace_moves_on(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"same.txt": "same\n", "more.txt": "more\n"})
    write(second.path, {"same.txt": "same\n"})
    ground.land(first)
    outcome = ground.land(second)
    assert outcome == NothingToLand(ground.hub.tip())
    assert ground.landings() == 1
    assert _stands_clean_on(second, ground.hub.tip())


def test_only_some_paths_land_and_the_rest_stays_on_the_new_trunk(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"by-first.txt": "1\n"})
    ground.land(first)
    write(second.path, {"a/one.txt": "1\n", "a/two.txt": "2\n", "b.txt": "b\n", "README.md": None, "src/app.py": "x\n"})
    git(second.path, "add", "--all")
    outcome = ground.land(second, paths=("a", "README.md"))
    assert isinstance(outcome, Landed)
    assert ground.hub.changed_paths(f"{outcome.commit}^", outcome.commit) == ["README.md", "a/one.txt", "a/two.txt"]
    assert second.base == outcome.commit
    assert second.changes().paths == ("b.txt", "src/app.py")
    assert (second.path / "by-first.txt").exists()
    assert git(second.path, "status", "--porcelain").split() == ["M", "src/app.py", "??", "b.txt"]
    assert isinstance(ground.land(second), Landed)
    assert _stands_clean_on(second, ground.hub.tip())


def test_the_top_as_a_path_is_everything(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    assert isinstance(ground.land(workspace, paths=("./",)), Landed)
    assert workspace.changes() == Changes()


@pytest.mark.parametrize("path", ["nowhere.txt", "noise.log", "/etc/passwd", "../x"])
def test_a_path_that_names_nothing_is_told(ground: Ground, path: str) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n", "noise.log": "ignored\n"})
    with pytest.raises(ToolError):
        ground.land(workspace, paths=(path,))
    assert ground.landings() == 0


def test_a_path_that_did_not_change_is_nothing(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    assert isinstance(ground.land(workspace, paths=("README.md",)), NothingToLand)
    assert workspace.changes().added == ("new.txt",)


def test_a_message_is_needed(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    with pytest.raises(ToolError, match="message"):
        ground.land(workspace, " \n\0")


def test_a_message_of_any_characters_lands(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    assert isinstance(ground.land(workspace, "Ünï\x01cödé \ud800 --amend\n---\n# no comment\n"), Landed)
    (landed,) = ground.hub.landed(ground.facts.base)
    assert landed.subject == "Ünïcödé ? --amend > --- # no comment"
    assert landed.task == workspace.task


def test_without_the_lease_nothing_moves(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})

    def lost() -> None:
        raise LeaseLost("a newer holder works")

    with pytest.raises(LeaseLost):
        ground.land(workspace, check=lost)
    assert ground.landings() == 0
    assert workspace.changes().added == ("new.txt",)
    assert isinstance(ground.land(workspace), Landed)


def test_an_ignored_file_in_the_way_of_a_new_one_gives_way(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"important.log": "tracked now\n", "build": "a file\n"})
    git(first.path, "add", "--force", "important.log")
    write(first.path, {".gitignore": "build/\n"})
    assert isinstance(ground.land(first), Landed)
    write(second.path, {"important.log": "only noise\n", "build/output.log": "built\n", "other.txt": "x\n"})
    outcome = ground.land(second)
    assert isinstance(outcome, Landed)
    assert (second.path / "important.log").read_text() == "tracked now\n"
    assert (second.path / "build").read_text() == "a file\n"
    assert _stands_clean_on(second, outcome.commit)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_the_agent_made_read_only_does_not_hold_it_up(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"src/app.py": "changed\n"})
    ground.land(first)
    write(second.path, {"new.txt": "new\n"})
    (second.path / "src").chmod(0o500)
    outcome = ground.land(second)
    assert isinstance(outcome, Landed)
    assert _stands_clean_on(second, outcome.commit)


def test_a_lock_that_a_killed_git_left_on_the_trunk_does_not_stop_it_for_ever(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    lock = ground.hub.folder / "refs/heads/main.lock"
    lock.write_text("0" * 40 + "\n")
    assert isinstance(ground.land(workspace), Landed)
    assert not lock.exists()


def test_a_trunk_that_is_moved_by_hand_is_taken_as_it_is(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    tree = f"{ground.facts.base}^{{tree}}"
    by_hand = git(ground.hub.folder, "commit-tree", "-p", ground.facts.base, "-m", "By hand", tree)
    git(ground.hub.folder, "update-ref", "refs/heads/main", by_hand)
    outcome = ground.land(workspace)
    assert isinstance(outcome, Landed)
    assert git(ground.hub.folder, "rev-parse", f"{outcome.commit}^") == by_hand
    assert [landed.task for landed in ground.hub.landed(ground.facts.base)] == ["", workspace.task]
