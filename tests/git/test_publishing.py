"""Publishing: the trunk goes to one branch of the user's repository, and never over somebody else's commits."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import git as gitpython
import pytest

from headway.domain.errors import UserError
from headway.git import publishing
from headway.git.hub import Hub
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, git, make_repository, write

BRANCH = "headway/tidy-up/main"


@pytest.fixture
def workspace(ground: Ground) -> Workspace:
    return ground.open()


def _land(ground: Ground, workspace: Workspace, text: str) -> str:
    write(workspace.path, {"new.txt": text})
    ground.land(workspace)
    return ground.hub.tip()


def _published(ground: Ground) -> str:
    """Publishes, and tells what stands in the way."""
    found = ground.hub.publish(BRANCH)
    assert found.tip == ground.hub.tip()
    return found.problem


def test_the_branch_follows_the_trunk_and_nothing_else_moves(
    ground: Ground, source: Path, workspace: Workspace
) -> None:
    write(source, {"README.md": "being edited\n"})
    for text in ("one\n", "two\n"):
        tip = _land(ground, workspace, text)
        assert _published(ground) == ""
        assert git(source, "rev-parse", BRANCH) == tip
    assert _published(ground) == ""
    assert git(source, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(source, "status", "--porcelain") == "M README.md"
    assert git(source, "for-each-ref", "--format=%(refname)").split() == [f"refs/heads/{BRANCH}", "refs/heads/main"]


def test_a_library_reads_the_branch_as_git_does(ground: Ground, source: Path, workspace: Workspace) -> None:
    for text in ("one\n", "two\n"):
        tip = _land(ground, workspace, text)
    _published(ground)
    with gitpython.Repo(source) as repo:
        branch = repo.heads[BRANCH]
        assert branch.commit.hexsha == tip
        first, second = reversed(list(repo.iter_commits(f"main..{BRANCH}")))
        assert (second.author.name, second.author.email) == ("Bob Author", "bob@example.org")
        assert second.trailers_dict["Headway-Task"] == [workspace.task]
        assert [(change.change_type, change.b_path) for change in first.diff(second)] == [("M", "new.txt")]
        assert second.tree["new.txt"].data_stream.read() == b"two\n"
        assert first.parents == (repo.heads.main.commit,)


def test_a_branch_that_is_checked_out_is_left_alone(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "zero\n")
    _published(ground)
    git(source, "config", "receive.denyCurrentBranch", "updateInstead")
    git(source, "checkout", "--quiet", BRANCH)
    before = git(source, "rev-parse", "HEAD")
    _land(ground, workspace, "one\n")
    problem = _published(ground)
    assert "is checked out" in problem
    assert "\n" not in problem
    assert git(source, "rev-parse", "HEAD") == before
    git(source, "checkout", "--quiet", "main")
    git(source, "worktree", "add", "--quiet", str(source.parent / "tree"), BRANCH)
    assert "is checked out" in _published(ground)
    git(source, "worktree", "remove", str(source.parent / "tree"))
    assert _published(ground) == ""


def test_commits_of_others_are_never_overwritten(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "one\n")
    _published(ground)
    foreign = git(source, "commit-tree", "-p", BRANCH, "-m", "Mine", f"{BRANCH}^{{tree}}")
    git(source, "update-ref", f"refs/heads/{BRANCH}", foreign)
    _land(ground, workspace, "two\n")
    assert "moved by someone else" in _published(ground)
    assert git(source, "rev-parse", BRANCH) == foreign
    git(source, "branch", "--quiet", "-D", BRANCH)
    assert _published(ground) == ""


def test_a_branch_that_was_set_back_goes_forward_again(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "one\n")
    _published(ground)
    git(source, "update-ref", f"refs/heads/{BRANCH}", ground.facts.base)
    tip = _land(ground, workspace, "two\n")
    assert _published(ground) == ""
    assert git(source, "rev-parse", BRANCH) == tip


def test_what_stands_in_the_way_is_told_in_words(ground: Ground, source: Path, workspace: Workspace) -> None:
    _land(ground, workspace, "one\n")
    git(source, "branch", "headway")
    assert "cannot publish" in _published(ground)
    git(source, "branch", "-D", "headway")
    hook = source / ".git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'no pushes on Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "no pushes on Friday" in _published(ground)
    source.rename(source.with_name("moved"))
    assert "the folder is gone" in _published(ground)


def test_the_branch_stands_at_the_very_commit_that_is_told_while_others_land(
    ground: Ground, source: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(ground, workspace, "one\n")
    ask, number = publishing.ask, iter(range(100))

    def while_others_land(*args: object, **more: object) -> object:
        _land(ground, workspace, f"landed meanwhile {next(number)}\n")
        return ask(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(publishing, "ask", while_others_land)
    for _ in range(3):
        found = ground.hub.publish(BRANCH)
        assert found.problem == ""
        assert git(source, "rev-parse", BRANCH) == found.tip


def test_nothing_is_put_there_before_something_has_landed(ground: Ground, source: Path) -> None:
    assert ground.hub.publish(BRANCH) == publishing.Publication(ground.facts.base)
    assert git(source, "branch", "--list", BRANCH) == ""


def test_a_branch_that_the_user_deleted_is_put_back_and_told_once(
    ground: Ground, source: Path, workspace: Workspace
) -> None:
    tip = _land(ground, workspace, "one\n")
    assert ground.hub.publish(BRANCH).told == ""
    git(source, "branch", "--quiet", "-D", BRANCH)
    found = ground.hub.publish(BRANCH)
    assert (found.problem, found.told) == ("", f"'{BRANCH}' was gone from {source}, and was put back")
    assert git(source, "rev-parse", BRANCH) == tip
    assert ground.hub.publish(BRANCH) == publishing.Publication(found.tip)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        *((code, "the folder") for code in (errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.EACCES, errno.ETIMEDOUT)),
        (errno.ESTALE, "the process"),
    ],
)
def test_a_repository_on_a_lost_share_is_a_problem_in_words(
    ground: Ground, source: Path, monkeypatch: pytest.MonkeyPatch, code: int, at: str
) -> None:
    _land(ground, ground.open(), "one\n")
    if at == "the folder":
        stat = Path.stat

        def lost(path: Path, **more: bool) -> os.stat_result:
            if path == source:
                raise OSError(code, os.strerror(code), str(path))
            return stat(path, **more)

        monkeypatch.setattr(Path, "stat", lost)
    else:

        def unstarted(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code), str(source))

        monkeypatch.setattr(publishing, "run_git", unstarted)
        monkeypatch.setattr(publishing, "ask", unstarted)
    assert _published(ground) == f"cannot publish to {source}: {os.strerror(code)}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_share_that_may_not_be_entered_is_told_at_the_start_and_while_the_run_goes_on() -> None:
    place = Path(tempfile.mkdtemp())
    try:
        source = make_repository(place / "share" / "source", {"README.md": "hello\n"})
        ground = Ground.prepare(place / "state", source, "clone")
        _land(ground, ground.open(), "one\n")
        for path in (place, *place.rglob("*")):
            os.lchown(path, 65534, 65534)
        (place / "share").chmod(0)

        def tried() -> list[str]:
            said = [ground.hub.publish(BRANCH).problem]
            with pytest.raises(UserError) as refused:
                Hub(place / "other.git").prepare(str(source), None)
            return [*said, str(refused.value)]

        problem, refused = _as_somebody_else(tried)
        assert problem == f"cannot publish to {source}: Permission denied"
        assert "cannot be reached: Permission denied" in refused
    finally:
        shutil.rmtree(place)


def _as_somebody_else(do: Callable[[], list[str]]) -> list[str]:
    """Carries it out in a process of another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, "\0".join(do()).encode())
        except BaseException as error:  # noqa: BLE001 - told to the test
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read().decode().split("\0")
    os.waitpid(child, 0)
    return told


@pytest.mark.parametrize("taken", ["headway", "headway/tidy-up", f"{BRANCH}/more"])
def test_a_name_that_cannot_be_made_is_refused_at_the_start(ground: Ground, source: Path, taken: str) -> None:
    assert ground.hub.foresee_publishing(BRANCH) == ""
    git(source, "branch", taken)
    with pytest.raises(UserError, match=f"there is a branch '{taken}'"):
        ground.hub.foresee_publishing(BRANCH)


def test_a_branch_of_that_name_may_be_there_as_long_as_nothing_in_it_is_lost(ground: Ground, source: Path) -> None:
    git(source, "branch", BRANCH)
    assert ground.hub.foresee_publishing(BRANCH) == ""
    foreign = git(source, "commit-tree", "-p", BRANCH, "-m", "Mine", f"{BRANCH}^{{tree}}")
    git(source, "update-ref", f"refs/heads/{BRANCH}", foreign)
    with pytest.raises(UserError, match="already, with commits of its own"):
        ground.hub.foresee_publishing(BRANCH)


def test_what_will_stand_in_the_way_is_told_at_the_start(ground: Ground, source: Path) -> None:
    lock = source / ".git/refs/heads" / f"{BRANCH}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert f"{lock} is there" in ground.hub.foresee_publishing(BRANCH)
    lock.unlink()
    git(source, "checkout", "--quiet", "-b", BRANCH)
    assert "is checked out" in ground.hub.foresee_publishing(BRANCH)
    source.rename(source.with_name("moved"))
    assert "cannot publish" in ground.hub.foresee_publishing(BRANCH)
