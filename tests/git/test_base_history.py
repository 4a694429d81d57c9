"""A hub holds the history of its base and nothing else, whatever else lies in the repository, honest or hostile."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.git.hub import Hub
from tests.git.ground import git, make_repository, write

MINE = ["-c", "user.name=a", "-c", "user.email=a@b.example"]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "state" / "hub.git")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Another repository of the user."""
    return make_repository(tmp_path / "private", {"secret.txt": "PRIVATE\n"})


def _blobs(hub: Hub) -> set[str]:
    """The contents of all files that a hub holds, reachable or not."""
    listed = git(hub.folder, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    oids = [line.split()[0] for line in listed.splitlines() if line.endswith(" blob")]
    return {git(hub.folder, "cat-file", "blob", oid) for oid in oids}


def _with_leftovers(folder: Path) -> Path:
    repo = make_repository(folder, {"a.txt": "first\n"})
    write(repo, {"a.txt": "second\n"})
    git(repo, "commit", "--quiet", "--all", "--message=Second")
    write(repo, {"a.txt": "STASHED\n"})
    git(repo, "stash", "--quiet")
    git(repo, "checkout", "--quiet", "-b", "other")
    write(repo, {"b.txt": "OTHER BRANCH\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message=Other")
    git(repo, "tag", "release")
    git(repo, "checkout", "--quiet", "main")
    write(repo, {"a.txt": "AMENDED AWAY\n"})
    git(repo, "commit", "--quiet", "--all", "--message=Wrong")
    git(repo, "reset", "--quiet", "--hard", "HEAD~1")
    return repo


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_only_the_history_of_the_base_comes_in(hub: Hub, tmp_path: Path, packed: bool, address: str) -> None:
    repo = _with_leftovers(tmp_path / "repo")
    if packed:
        git(repo, "gc", "--quiet")
    hub.prepare(address.format(repo), "main")
    assert _blobs(hub) == {"first", "second"}
    git(hub.folder, "fsck", "--full", "--no-progress")


@pytest.mark.parametrize("name", ["a:b", 'a"b', "a\\b", "a\nb", "ä;#"])
def test_the_folder_may_have_any_name(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.prepare(str(_with_leftovers(tmp_path / name)), "main")
    assert _blobs(hub) == {"first", "second"}


@pytest.mark.parametrize("base", [None, "main", "v1", "{oid}", "{oid:.10}", "{hidden}"])
def test_only_the_history_of_the_base_is_fetched(hub: Hub, tmp_path: Path, base: str | None) -> None:
    repo = _with_leftovers(tmp_path / "repo")
    git(repo, *MINE, "tag", "--annotate", "--message=One", "v1")
    hidden = git(repo, *MINE, "commit-tree", "-p", "main", "-m", "Alone", "main^{tree}")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    oid = git(repo, "rev-parse", "main")
    named = base.format(oid=oid, hidden=hidden) if base else None
    (Path.home() / ".gitconfig").write_text('[protocol "ext"]\n\tallow = always\n')
    facts = hub.prepare(f"ext::git %s {repo}", named)
    assert facts.base == (hidden if base == "{hidden}" else oid)
    assert _blobs(hub) == {"first", "second"}
    assert git(hub.folder, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert not list(hub.folder.glob("all-*"))


def _git_file(repo: Path, private: Path) -> None:
    shutil.rmtree(repo / ".git")
    (repo / ".git").write_text(f"gitdir: {private}/.git\n")


def _git_link(repo: Path, private: Path) -> None:
    shutil.rmtree(repo / ".git")
    (repo / ".git").symlink_to(private / ".git")


def _common_folder(repo: Path, private: Path) -> None:
    (repo / ".git/commondir").write_text(f"{private}/.git\n")


def _linked(name: str) -> Callable[[Path, Path], None]:
    def make(repo: Path, private: Path) -> None:
        place = repo / ".git" / name
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(private / ".git" / name)

    return make


def _linked_object(repo: Path, private: Path) -> None:
    (repo / ".git/objects/aa").mkdir(exist_ok=True)
    (repo / ".git/objects/aa" / ("b" * 38)).symlink_to(private / "secret.txt")


def _pipe(name: str) -> Callable[[Path, Path], None]:
    def make(repo: Path, _private: Path) -> None:
        place = repo / ".git" / name
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        os.mkfifo(place)

    return make


@pytest.mark.parametrize(
    "make",
    [
        _git_file,
        _git_link,
        _common_folder,
        *map(_linked, ("objects", "objects/pack", "refs", "refs/heads", "refs/heads/main", "packed-refs", "config")),
        _linked_object,
        *map(
            _pipe, ("config", "shallow", "packed-refs", "HEAD", "objects/aa", "objects/cc/" + "d" * 38, "refs/heads/x")
        ),
    ],
)
def test_a_folder_that_is_made_of_another_repository_is_refused(
    hub: Hub, source: Path, private: Path, make: Callable[[Path, Path], None]
) -> None:
    git(private, "pack-refs", "--all")
    make(source, private)
    with pytest.raises(UserError) as refused:
        hub.prepare(str(source), None)
    assert str(refused.value).startswith("repo: ")
    assert not hub.folder.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("info/grafts", "info/exclude", "info/attributes", "info/sparse-checkout", "index", "FETCH_HEAD", "logs/HEAD"),
        *("logs/refs/heads/main", "hooks/pre-push", "objects/info/commit-graph", "objects/info/alternates"),
    ],
)
def test_at_a_pipe_git_does_not_wait(
    hub: Hub, source: Path, private: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, or git has no use for it; but a run's start would wait two minutes for each question to git."""
    monkeypatch.setattr("headway.git.local_upstream.ASK_S", 20.0)
    monkeypatch.setattr("headway.git.upstream.FETCH_S", 20.0)
    (source / ".git" / name).parent.mkdir(parents=True, exist_ok=True)
    _pipe(name)(source, private)
    refused = ""
    try:
        hub.prepare(str(source), None)
    except UserError as error:
        refused = error.message
    assert not refused or "is a link out of the repository, or no file" in refused


@pytest.mark.parametrize("circle", [False, True])
def test_what_a_repository_borrows_serves_its_history_only(hub: Hub, source: Path, private: Path, circle: bool) -> None:
    lines = f"../objects\n{source}/.git/objects/../objects\n" if circle else f"{private}/.git/objects\n"
    (source / ".git/objects/info/alternates").write_text(lines)
    hub.prepare(str(source), None)
    assert "PRIVATE" not in _blobs(hub)
    assert not (hub.folder / "objects/info/alternates").exists()


def test_a_configuration_that_never_ends_is_told(
    hub: Hub, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headway.git.local_upstream.ASK_S", 0.5)
    os.mkfifo(tmp_path / "pipe")
    git(source, "config", "include.path", str(tmp_path / "pipe"))
    with pytest.raises(UserError, match="git cannot read"):
        hub.prepare(str(source), None)


@pytest.mark.parametrize("form", ["worktree", "submodule", "named by the user"])
def test_a_git_file_of_a_repository_that_knows_of_it_is_followed(
    hub: Hub, source: Path, private: Path, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "folder"
    match form:
        case "worktree":
            git(private, "worktree", "add", "--quiet", "--detach", str(folder))
        case "submodule":
            git(source, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(private), "vendor")
            folder = source / "vendor"
        case _:
            folder = private / ".git"
    hub.prepare(str(folder), None)
    assert _blobs(hub) == {"PRIVATE"}


def test_a_separate_git_folder_is_named_to_the_user(hub: Hub, private: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.git"
    git(tmp_path, "clone", "--quiet", f"--separate-git-dir={elsewhere}", str(private), str(tmp_path / "folder"))
    with pytest.raises(UserError, match=f"Name that repository itself: {elsewhere}"):
        hub.prepare(str(tmp_path / "folder"), None)
    hub.prepare(str(elsewhere), None)
    assert _blobs(hub) == {"PRIVATE"}
