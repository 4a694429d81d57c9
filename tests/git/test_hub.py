"""Preparing the hub: from any repository that a user may name, once, and without depending on it afterwards."""

import os
import shutil
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.git.hub import Hub
from tests.git.ground import Ground, git, write


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "state" / "run" / "hub.git")


def test_the_trunk_starts_at_the_head_of_the_repository(hub: Hub, source: Path) -> None:
    facts = hub.prepare(str(source), None)
    assert facts.base == git(source, "rev-parse", "HEAD") == hub.tip()
    assert (facts.branch, facts.source) == ("main", str(source))
    assert facts.author == "Ada User <ada@example.org>"
    assert git(hub.folder, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert git(hub.folder, "symbolic-ref", "HEAD") == "refs/heads/_none"


def test_a_second_prepare_tells_the_same_and_never_moves_the_trunk(hub: Hub, source: Path) -> None:
    facts = hub.prepare(str(source), None)
    write(source, {"README.md": "newer\n"})
    git(source, "commit", "--all", "--quiet", "--message=Newer")
    assert hub.prepare(str(source), None) == facts
    assert hub.tip() == facts.base


@pytest.mark.parametrize("named", ["topic", "v1", "commit", "short"])
def test_the_base_may_be_a_branch_a_tag_or_a_commit(hub: Hub, source: Path, named: str) -> None:
    wanted = git(source, "rev-parse", "HEAD")
    git(source, "branch", "topic")
    git(source, "tag", "--annotate", "--message=One", "v1")
    write(source, {"README.md": "newer\n"})
    git(source, "commit", "--all", "--quiet", "--message=Newer")
    facts = hub.prepare(str(source), {"commit": wanted, "short": wanted[:10]}.get(named, named))
    assert facts.base == wanted
    assert facts.branch == ("topic" if named == "topic" else None)


def test_a_detached_head_works(hub: Hub, source: Path) -> None:
    git(source, "checkout", "--quiet", "--detach")
    write(source, {"README.md": "on no branch\n"})
    git(source, "commit", "--all", "--quiet", "--message=On no branch")
    facts = hub.prepare(str(source), None)
    assert (facts.base, facts.branch) == (git(source, "rev-parse", "HEAD"), None)


@pytest.mark.parametrize(
    "form", ["bare", "worktree", "packed", "borrowing", "shallow", "git folder", "file URL", "sha256"]
)
def test_every_form_of_a_local_repository_works(hub: Hub, source: Path, tmp_path: Path, form: str) -> None:
    other = tmp_path / "other place"
    named = str(other)
    match form:
        case "bare":
            git(tmp_path, "clone", "--quiet", "--bare", str(source), str(other))
        case "worktree":
            git(source, "worktree", "add", "--quiet", "--detach", str(other))
        case "packed":
            git(source, "gc", "--quiet")
            other = source
            named = str(other)
        case "borrowing":
            git(tmp_path, "clone", "--quiet", "--shared", str(source), str(other))
        case "shallow":
            write(source, {"README.md": "newer\n"})
            git(source, "commit", "--all", "--quiet", "--message=Newer")
            git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{source}", str(other))
        case "git folder":
            other = source / ".git"
            named = str(other)
        case "file URL":
            shutil.copytree(source, other)
            named = f"file://{other}".replace(" ", "%20")
        case _:
            other.mkdir()
            git(other, "init", "--quiet", "--object-format=sha256")
            git(other, "commit", "--quiet", "--allow-empty", "--message=First commit")
    facts = hub.prepare(named, None)
    assert facts.base == git(other, "rev-parse", "HEAD")
    shutil.rmtree(source)
    git(hub.folder, "fsck", "--full", "--no-progress")


def test_the_hub_lives_on_when_the_repository_collects_its_garbage(hub: Hub, source: Path) -> None:
    git(source, "checkout", "--quiet", "-b", "topic")
    write(source, {"only/here.txt": "kept\n"})
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=Only here")
    hub.prepare(str(source), "topic")
    git(source, "checkout", "--quiet", "main")
    git(source, "branch", "--quiet", "-D", "topic")
    git(source, "reflog", "expire", "--expire=now", "--all")
    git(source, "gc", "--quiet", "--prune=now")
    assert hub.read_file("HEAD", "only/here.txt") == b"kept\n"


def test_a_prepare_that_was_killed_half_way_is_done_anew(hub: Hub, source: Path) -> None:
    left = hub.folder.with_name("hub.git.new")
    (left / "objects").mkdir(parents=True)
    hub.prepare(str(source), None)
    assert hub.tip() == git(source, "rev-parse", "HEAD")
    assert not left.exists()


def test_the_name_of_the_user_may_be_missing(hub: Hub, source: Path) -> None:
    (Path(os.environ["HOME"]) / ".gitconfig").unlink()
    assert hub.prepare(str(source), None).author == "Headway <headway@localhost>"


def test_the_identity_of_the_repository_comes_before_that_of_the_user(hub: Hub, source: Path) -> None:
    git(source, "config", "user.email", "ada@work.example.org")
    assert hub.prepare(str(source), None).author == "Ada User <ada@work.example.org>"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_a_repository_of_another_user_works(hub: Hub, source: Path) -> None:
    for place in (source, *source.rglob("*")):
        os.chown(place, 65534, 65534)
    assert hub.prepare(str(source), None).base == hub.tip()


def _no_folder(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "nowhere"), None


def _no_repository(tmp: Path) -> tuple[str, str | None]:
    (tmp / "plain").mkdir()
    return str(tmp / "plain"), None


def _inside(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "source" / "src"), None


def _no_commit(tmp: Path) -> tuple[str, str | None]:
    (tmp / "fresh").mkdir()
    git(tmp / "fresh", "init", "--quiet")
    return str(tmp / "fresh"), None


def _no_base(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "source"), "no-such-branch"


def _option_as_base(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "source"), "--all"


def _a_tree_as_base(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "source"), "HEAD^{tree}"


def _empty(tmp: Path) -> tuple[str, str | None]:
    return "", None


def _empty_base(tmp: Path) -> tuple[str, str | None]:
    return str(tmp / "source"), " "


def _unreachable(tmp: Path) -> tuple[str, str | None]:
    return "http://user:pa55word@127.0.0.1:9/nothing.git", None


def _partial(tmp: Path) -> tuple[str, str | None]:
    git(tmp / "source", "config", "uploadpack.allowFilter", "true")
    git(tmp, "clone", "--quiet", "--bare", "--filter=blob:none", f"file://{tmp}/source", "partial")
    return str(tmp / "partial"), None


@pytest.mark.parametrize(
    ("case", "says", "remedy"),
    [
        (_no_folder, "there is no folder", "URL"),
        (_no_repository, "not a git repository", "init"),
        (_inside, "lies inside the repository", "/source"),
        (_no_commit, "no commit", "commit"),
        (_no_base, "no branch, tag or commit 'no-such-branch'", "branch --all"),
        (_option_as_base, "no branch, tag or commit '--all'", "branch --all"),
        (_a_tree_as_base, "no branch, tag or commit", "branch --all"),
        (_empty, "repo: is empty", "path or the URL"),
        (_empty_base, "base: is empty", "leave 'base' out"),
        (_unreachable, "cannot reach http://127.0.0.1:9/nothing.git", "git ls-remote"),
        (_partial, "does not hold all files", "--refetch"),
    ],
)
def test_what_cannot_be_prepared_is_one_readable_message_and_leaves_nothing(
    hub: Hub, source: Path, tmp_path: Path, *, case: object, says: str, remedy: str
) -> None:
    assert callable(case)
    named, base = case(tmp_path)
    with pytest.raises(UserError) as error:
        hub.prepare(named, base)
    assert says in error.value.message
    assert remedy in error.value.remedy
    assert "pa55word" not in str(error.value)
    assert [place.name for place in hub.folder.parent.iterdir()] == ["hub.git.lock"]


def test_what_changed_and_what_landed_can_be_asked(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n", "README.md": None})
    ground.land(workspace, "Replace the readme\n\nHeadway-Task: somebody-else")
    tip = ground.hub.tip()
    assert ground.hub.changed_paths(ground.facts.base, tip) == ["README.md", "new.txt"]
    assert ground.hub.is_ancestor(ground.facts.base, tip)
    assert not ground.hub.is_ancestor(tip, ground.facts.base)
    (landed,) = ground.hub.landed(ground.facts.base)
    assert (landed.oid, landed.subject, landed.task) == (tip, "Replace the readme", workspace.task)
    assert (landed.run, landed.planner) == ("tidy-up", "tidy-up/root-0a1b2c3d")
