"""Workspaces: an agent's own copy, which outlives a kill but is not trusted after another boot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import LeaseLost
from headway.git.changes import Changes
from headway.git.git_process import GitOutput
from headway.git.landing.landing import Landed
from headway.git.repo import Repo
from headway.git.workspace.notes import load_owner, store_owner
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import NotSaved, Workspace
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, allowed, git, make_repository, task, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)


def _boot_again(workspace: Workspace) -> None:
    """As if the machine had crashed since the files were written."""
    owner = load_owner(workspace.home)
    assert owner is not None
    store_owner(workspace.home, owner.model_copy(update={"boot_id": "an earlier boot"}))


def test_a_new_workspace_stands_on_the_tip_of_the_trunk(ground: Ground) -> None:
    first = ground.open(1)
    write(first.path, {"new.txt": "new\n"})
    ground.land(first)
    workspace = ground.open(2)
    assert workspace.base == ground.hub.tip()
    assert (workspace.path / "new.txt").read_text() == "new\n"
    assert workspace.changes() == Changes()
    assert not workspace.rebuilt
    assert "/" not in workspace.home.name


def test_the_agent_has_a_git_of_its_own_there(ground: Ground) -> None:
    workspace = ground.open()
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "rev-parse", "HEAD") == workspace.base
    assert git(workspace.path, "symbolic-ref", "--quiet", "HEAD", check=False) == ""
    write(workspace.path, {"new.txt": "new\n", ".headway/notes": "the harness's own\n"})
    git(workspace.path, "checkout", "-b", "mine")
    git(workspace.path, "add", "--all")
    git(workspace.path, "commit", "--message=Mine")
    assert git(workspace.path, "log", "-1", "--format=%an <%ae>") == ground.facts.author
    assert git(workspace.path, "show", "--name-only", "--format=") == "new.txt"
    assert git(ground.hub.folder, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_workspace_may_be_opened_at_a_commit(ground: Ground) -> None:
    first = ground.open(1)
    write(first.path, {"new.txt": "new\n"})
    ground.land(first)
    workspace = ground.workspaces.open(task(2), 1, 1, at=ground.facts.base)
    assert workspace.base == ground.facts.base
    assert not (workspace.path / "new.txt").exists()


def test_a_commit_with_the_files_of_another_is_stood_on_all_the_same(ground: Ground) -> None:
    """A commit and its revert leave the files as they were, and the trunk two commits further."""
    base = ground.open(1).base
    same = git(ground.hub.folder, "commit-tree", "-p", base, "-m", "The same files", f"{base}^{{tree}}")
    git(ground.hub.folder, "update-ref", "refs/heads/main", same)
    workspace = ground.open(2)
    assert workspace.base == same == git(workspace.path, "rev-parse", "HEAD")
    assert git(workspace.path, "status", "--porcelain") == ""
    assert workspace.changes() == Changes()


def test_changes_are_what_the_files_say_whatever_git_the_agent_ran(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"src/app.py": "changed\n", "README.md": None, "a/b/new.txt": "new\n"})
    git(workspace.path, "add", "--all")
    git(workspace.path, "commit", "--quiet", "--message=Half of it")
    write(workspace.path, {"later.txt": "later\n", "noise.log": "ignored\n", ".headway/notes": "never\n"})
    changes = workspace.changes()
    assert changes.added == ("a/b/new.txt", "later.txt")
    assert changes.modified == ("src/app.py",)
    assert changes.deleted == ("README.md",)
    assert changes.paths == ("README.md", "a/b/new.txt", "later.txt", "src/app.py")
    assert workspace.changes() != Changes()


def test_the_harness_s_own_folder_is_never_a_change_even_if_the_agent_wants_it(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {".headway/notes": "mine\n", ".gitignore": "!.headway\n!.headway/*\n"})
    git(workspace.path, "add", "--force", "--all")
    assert workspace.changes().paths == (".gitignore",)


def test_it_is_opened_again_as_it_was_left(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"half.txt": "half done\n", "kept.log": "ignored, but there\n"})
    for lock in (".git/index.lock", ".git/HEAD.lock", ".git/refs/heads/mine.lock"):
        (workspace.path / lock).touch()
    (workspace.home / "index.lock").touch()
    again = ground.open(lease=2)
    assert (again.path, again.rebuilt) == (workspace.path, False)
    assert again.changes().added == ("half.txt",)
    assert (again.path / "kept.log").exists()
    git(again.path, "add", "--all")


def test_one_that_was_killed_while_it_was_made_is_made_anew(ground: Ground) -> None:
    workspace = ground.open()
    workspace.home.rename(workspace.home.with_name(f".{workspace.home.name}.new"))
    (workspace.home.with_name(f".{workspace.home.name}.new") / "owner.json").unlink()
    again = ground.open()
    assert again.changes() == Changes()
    assert not again.rebuilt
    left = {place.name for place in again.home.parent.iterdir() if place.is_dir()}
    assert left - {f".{again.home.name}.upper"} == {again.home.name}


def test_attempts_have_workspaces_of_their_own(ground: Ground) -> None:
    first = ground.open(attempt=1)
    write(first.path, {"half.txt": "half done\n"})
    snapshot(ground.hub, first, first.task, allowed)
    second = ground.open(attempt=2)
    assert second.path != first.path
    assert second.changes() == Changes()
    assert not second.rebuilt


@pytest.mark.parametrize(
    "use",
    [
        lambda ground, old: ground.open(lease=1),
        lambda ground, old: old.changes(),
        lambda ground, old: ground.land(old),
        lambda ground, old: snapshot(ground.hub, old, old.task, allowed),
        lambda ground, old: ground.workspaces.remove(old),
    ],
    ids=["open", "changes", "land", "snapshot", "remove"],
)
def test_who_has_an_older_lease_gets_nothing_done(ground: Ground, use: Callable[[Ground, Workspace], object]) -> None:
    old = ground.open(lease=1)
    new = ground.open(lease=2)
    write(new.path, {"new.txt": "new\n"})
    with pytest.raises(LeaseLost):
        use(ground, old)
    assert ground.landings() == 0
    assert new.changes().added == ("new.txt",)


def test_after_another_boot_it_is_rebuilt_from_the_newest_snapshot(ground: Ground) -> None:
    workspace = ground.open()
    base = workspace.base
    write(workspace.path, {"kept.txt": "kept\n", "README.md": None})
    kept = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert kept is not None
    write(workspace.path, {"kept.txt": "", "lost.txt": "lost\n"})
    _boot_again(workspace)
    again = ground.open(lease=2)
    assert (again.rebuilt, again.rebuilt_from, again.base) == (True, kept.commit, base)
    assert again.changes().added == ("kept.txt",)
    assert again.changes().deleted == ("README.md",)
    assert (again.path / "kept.txt").read_text() == "kept\n"
    assert sorted(git(again.path, "status", "--porcelain").split("\n")) == ["?? kept.txt", "D README.md"]
    aside = again.home.with_name(f"{again.home.name}.stale-1")
    assert len(list(aside.rglob("lost.txt"))) == 1
    assert ground.open(lease=3).rebuilt
    assert isinstance(ground.land(ground.open(lease=3)), Landed)


def test_after_another_boot_without_a_snapshot_it_starts_from_the_trunk(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"lost.txt": "lost\n"})
    _boot_again(workspace)
    again = ground.open()
    assert (again.rebuilt, again.rebuilt_from) == (True, None)
    assert again.changes() == Changes()


def test_a_snapshot_that_has_landed_since_does_not_come_back(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"README.md": "first\n"})
    snapshot(ground.hub, workspace, workspace.task, allowed)
    write(workspace.path, {"README.md": "second\n"})
    ground.land(workspace)
    _boot_again(workspace)
    again = ground.open()
    assert again.base == ground.hub.tip()
    assert again.changes() == Changes()


def test_a_workspace_that_is_gone_is_rebuilt_from_its_snapshot(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"kept.txt": "kept\n"})
    snapshot(ground.hub, workspace, workspace.task, allowed)
    ground.workspaces.remove(workspace)
    again = ground.open()
    assert again.rebuilt
    assert again.changes().added == ("kept.txt",)


def test_it_is_removed_only_when_everything_is_kept(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    with pytest.raises(NotSaved):
        ground.workspaces.remove(workspace)
    snapshot(ground.hub, workspace, workspace.task, allowed)
    write(workspace.path, {"new.txt": "newer\n"})
    with pytest.raises(NotSaved):
        ground.workspaces.remove(workspace)
    snapshot(ground.hub, workspace, workspace.task, allowed)
    (workspace.path / "locked").mkdir()
    (workspace.path / "locked" / "cache.log").touch()
    (workspace.path / "locked").chmod(0o500)
    ground.workspaces.remove(workspace)
    assert not workspace.home.exists()
    ground.workspaces.remove(workspace)


def test_a_clean_workspace_is_removed_without_a_snapshot(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n", "ignored.log": "x\n"})
    ground.land(workspace)
    ground.workspaces.remove(workspace)
    assert not workspace.home.exists()


def test_what_is_removed_leaves_nothing(ground: Ground) -> None:
    kept = ground.open(0)
    for number in range(1, 4):
        ground.workspaces.discard(ground.open(number))
        gone = ground.open(number, attempt=2)
        ground.workspaces.remove(gone)
        ground.workspaces.remove(gone)
    left = {place.name for place in kept.home.parent.iterdir()}
    assert left <= {kept.home.name, f".{kept.home.name}.lock", f".{kept.home.name}.upper"}


def test_nothing_of_the_workspace_before_is_in_the_next_one(ground: Ground) -> None:
    """Also where the trunk takes the file away whose place the agent gave to a folder."""
    first = ground.open(1)
    write(first.path, {"src/app.py": None, "src/app.py/left.txt": "left\n", "own.txt": "own\n"})
    (first.path / "nested").mkdir()
    git(first.path / "nested", "init", "--quiet")
    other = ground.open(2)
    ground.workspaces.discard(first)
    write(other.path, {"src/app.py": None})
    assert isinstance(ground.land(other), Landed)
    again = ground.open(3)
    assert not (again.path / "src/app.py").exists()
    assert again.changes() == Changes()


def test_nothing_in_a_submodule_is_in_the_next_workspace(tmp_path: Path, rung: WorkspaceBackend) -> None:
    source = make_repository(tmp_path / "source", {"a.txt": "a\n"})
    git(source, "update-index", "--add", "--cacheinfo", f"160000,{'c0ffee' + '0' * 34},vendor/sub")
    git(source, "commit", "--quiet", "--message=A submodule")
    ground = Ground.prepare(tmp_path / "state", source, rung)
    first = ground.open(1)
    write(first.path, {"vendor/sub/left.txt": "left\n"})
    make_repository(first.path / "vendor/sub/inner", {"x": "x\n"})
    ground.workspaces.discard(first)
    again = ground.open(2)
    assert list((again.path / "vendor/sub").iterdir()) == []
    assert again.changes() == Changes()


def test_a_repository_in_a_folder_that_is_on_the_trunk_no_longer_is_told(ground: Ground) -> None:
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"src/app.py": None})
    assert isinstance(ground.land(first), Landed)
    write(second.path, {"src/app.py": None, "b.txt": "b\n"})
    assert isinstance(ground.land(second), Landed)
    for workspace in (second, ground.open(3)):
        (workspace.path / "src").mkdir(exist_ok=True)
        git(workspace.path / "src", "init", "--quiet")
        write(workspace.path, {"src/app.py": "again\n"})
        assert (workspace.changes().nested, workspace.changes().paths) == (("src",), ())


def test_the_index_is_brought_to_the_base_only_where_it_is_elsewhere(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ground.open(1), ground.open(2)
    asked: list[tuple[str, ...]] = []
    run = Repo.run

    def noted(self: Repo, *args: str, **more: object) -> GitOutput:
        asked.append(args)
        return run(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Repo, "run", noted)
    write(first.path, {"a.txt": "a\n"})
    write(second.path, {"b.txt": "b\n"})
    assert second.changes().added == ("b.txt",)
    assert not [args for args in asked if args[0] == "read-tree"]
    assert isinstance(ground.land(first), Landed)
    assert isinstance(ground.land(second), Landed)
    asked.clear()
    for _ in range(2):
        assert second.changes().paths == ()
    brought = [args[:3] for args in asked if args[0] == "read-tree"]
    assert brought == [("read-tree", "-i", "-m")] * (1 if ground.workspaces.level == "clone" else 2)
