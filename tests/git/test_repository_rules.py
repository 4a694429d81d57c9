"""Filters, encodings and submodules: what the repository keeps in another form, or elsewhere, does not land unseen."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from headway.domain.errors import ToolError
from headway.domain.ids import Oid
from headway.git.changes import entries
from headway.git.hub import Hub
from headway.git.landing.landing import Conflicted, Landed, LandingRefused
from headway.git.landing.unlandable import refused_rules
from headway.git.repo import Repo
from headway.git.repository_rules import Filter, RepositoryRules
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, git, make_repository, write

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 5\n"
SEALED = b"\0GITCRYPT\0" + bytes(range(40))
RULES = "*.png filter=lfs diff=lfs merge=lfs -text\n[attr]secret filter=git-crypt diff=git-crypt\nkeys/** secret\n"
FILES: Mapping[str, str | bytes | None] = {
    ".gitattributes": RULES,
    "logo.png": POINTER,
    "keys/old.key": SEALED,
    "a.txt": "a\n",
}


@pytest.fixture
def filtered(tmp_path: Path) -> Ground:
    """A run on a repository with files of two filters."""
    return Ground.prepare(tmp_path / "state", make_repository(tmp_path / "filtered", FILES))


def test_filters_and_merge_drivers_are_told_at_the_start(filtered: Ground) -> None:
    rules = Hub(filtered.hub.folder).rules()
    assert set(rules.filters) == {
        Filter(name="lfs", files=1, example="logo.png"),
        Filter(name="git-crypt", files=1, example="keys/old.key"),
    }
    assert rules.drivers == ("lfs",)
    told = "\n".join(rules.notes())
    assert "'lfs', such as logo.png: no filter is run" in told
    assert "'git-crypt', such as keys/old.key" in told
    assert "merge drivers are not run: files of lfs conflict" in told


def test_a_repository_without_such_rules_is_not_talked_about(ground: Ground) -> None:
    assert ground.hub.rules().notes() == []


RAW: tuple[dict[str, str | bytes | None], ...] = (
    {"logo.png": b"\x89PNG raw"},
    {"new.png": b"\x89PNG raw"},
    {"art/deep/new.png": POINTER.replace("a" * 64, "b" * 64)},
    {"keys/new.key": "a secret in clear\n"},
    {"keys/old.key": "a secret in clear\n"},
    {"keys/as-elsewhere.key": POINTER},
    {"keys/copied": "a\n"},
    {"keys/old.key": "a secret in clear\n", ".gitattributes": ""},
    {"keys/old.key": "a secret in clear\n", ".gitattributes": None},
)


def test_a_file_whose_filter_was_not_run_does_not_land(filtered: Ground) -> None:
    for number, changed in enumerate(RAW):
        workspace = filtered.open(number)
        write(workspace.path, {**changed, f"other-{number}.txt": "other\n"})
        refused = filtered.land(workspace, accept_doubtful=True)
        assert isinstance(refused, LandingRefused), changed
        assert not refused.doubtful
        assert set(refused.paths) == set(changed) - {".gitattributes"}
        assert ("git-crypt" if "keys" in refused.paths[0] else "lfs") in refused.reason
        assert filtered.landings() == number
        assert isinstance(filtered.land(workspace, paths=(f"other-{number}.txt",)), Landed)


def test_what_git_stores_already_may_be_moved_copied_taken_back_and_deleted(filtered: Ground) -> None:
    workspace = filtered.open()
    write(workspace.path, {"logo.png": None, "art/logo.png": POINTER, "keys/copy.key": SEALED})
    assert isinstance(filtered.land(workspace, accept_doubtful=True), Landed)
    write(workspace.path, {"logo.png": POINTER, "keys/copy.key": None})
    (workspace.path / "art/logo.png").chmod(0o755)
    assert isinstance(filtered.land(workspace, accept_doubtful=True), Landed)


def test_rules_taken_off_by_an_earlier_landing_still_guard_a_secret(filtered: Ground) -> None:
    workspace = filtered.open()
    write(workspace.path, {".gitattributes": RULES.splitlines(keepends=True)[0]})
    assert isinstance(filtered.land(workspace), Landed)
    write(workspace.path, {"keys/new.key": "a secret in clear\n"})
    assert isinstance(filtered.land(workspace), LandingRefused)


CONVERTING = (
    (".gitattributes", "*.py working-tree-encoding=UTF-16LE-BOM\n"),
    (".gitattributes", "*.py text working-tree-encoding=UTF-32\n"),
    ("sub/.gitattributes", "* filter=x\n"),
    (".gitattributes", "[attr]odd working-tree-encoding=UTF-16\n*.py odd\n"),
    (".gitattributes", '"a b" filter=x\n'),
)


def test_rules_that_convert_what_others_land_are_refused(ground: Ground) -> None:
    for number, (name, text) in enumerate(CONVERTING):
        workspace = ground.open(number)
        write(workspace.path, {name: text, "src/app.py": f"changed {number}\n"})
        for paths in (None, ("src/app.py",)):
            refused = ground.land(workspace, paths=paths)
            assert isinstance(refused, LandingRefused), text
            assert refused.paths in {(name,), ("src/app.py",)}
            assert "working-tree-encoding" in refused.reason
        write(workspace.path, {name: f"# filter={number} is for the user\n*.py text -filter !working-tree-encoding\n"})
        assert isinstance(ground.land(workspace), Landed)
        assert ground.on_trunk("src/app.py") == f"changed {number}\n".encode()


PATTERNS = (
    "*",
    "*.py",
    "a.py",
    '"a b"',
    "sub/**",
    "[attr]odd",
    "[attr]more",
    " [attr]odd",
    '"[attr]odd"',
    "# x",
    "*.py\r",
)
GIVEN = ("text", "filter=x", "-filter", "!filter", "working-tree-encoding=UTF-8", "odd", "-odd", "more", "merge=y\0z")
PATHS = ("a.py", "a b", "b.txt", "sub/a.py", "sub/deep/c.txt")


def test_no_rules_are_let_in_by_which_plain_git_would_convert_a_file(tmp_path: Path) -> None:
    plain = make_repository(tmp_path / "plain", dict.fromkeys(PATHS, "x\n"))
    let_in = 0
    for seed in range(60):
        rng = random.Random(seed)
        seen = []
        for _ in range(2):
            for name in (".gitattributes", "sub/.gitattributes"):
                lines = [" ".join((rng.choice(PATTERNS), *rng.sample(GIVEN, 2))) for _ in range(rng.choice((1, 2)))]
                if rng.random() < 0.6:
                    write(plain, {name: "\n".join(lines)})
            git(plain, "add", "--all")
            said = git(plain, "check-attr", "-z", "filter", "working-tree-encoding", "--", *PATHS).split("\0")
            given = {tuple(said[at : at + 3]) for at in range(0, len(said) - 2, 3)}
            seen.append((git(plain, "write-tree"), {each for each in given if each[2] in {"x", "UTF-8"}}))
        (old, before), (new, after) = seen
        repo = Repo(plain / ".git")
        refused = refused_rules(repo, RepositoryRules(converts=True), Oid(old), Oid(new), entries(repo, old, new))
        assert refused is not None or after <= before, seed
        let_in += refused is None and old != new
    assert let_in > 5


def test_rules_that_are_no_text_stop_nothing(tmp_path: Path) -> None:
    rules = b'*.txt merge=\xff\0x filter=y\n*.txt filter=\xfe\n\xfd\0 merge=z\n*.md merge=a\x0bb\\"\x01\n'
    files: Mapping[str, str | bytes | None] = {".gitattributes": rules, "a.txt": "x\n", "b.md": "x\n"}
    ground = Ground.prepare(tmp_path / "state", make_repository(tmp_path / "odd", files), "clone")
    found = ground.hub.rules()
    assert [each.name for each in found.filters] == ["\\xfe"]
    assert found.drivers == ("\\xff", 'a\x0bb\\"\x01')
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"b.md": "x\nfirst\n"})
    write(second.path, {"b.md": "second\nx\n"})
    assert isinstance(ground.land(first), Landed)
    assert isinstance(ground.land(second), Conflicted)


def test_a_file_that_does_not_fit_its_encoding_is_refused_with_that_reason(tmp_path: Path) -> None:
    files: Mapping[str, str | bytes | None] = {
        ".gitattributes": "*.u16 working-tree-encoding=UTF-16\n",
        "old.u16": "old\n".encode("utf-16"),
    }
    ground = Ground.prepare(tmp_path / "state", make_repository(tmp_path / "encoded", files))
    workspace = ground.open()
    assert workspace.changes().paths == ()
    write(workspace.path, {"new.u16": "plain text\n"})
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert "working-tree-encoding is UTF-16, and what was written is not" in refused.reason
    write(workspace.path, {"new.u16": "new\n".encode("utf-16")})
    assert isinstance(ground.land(workspace, accept_doubtful=True), Landed)
    assert ground.on_trunk("new.u16") == b"new\n"


@pytest.fixture
def with_submodule(tmp_path: Path, rung: WorkspaceBackend | None) -> Ground:
    """A run on a repository with a submodule."""
    inner = make_repository(tmp_path / "inner", {"lib.txt": "lib\n"})
    outer = make_repository(tmp_path / "outer", {"a.txt": "a\n"})
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "vendor/lib")
    git(outer, "commit", "--quiet", "--message=With a submodule")
    return Ground.prepare(tmp_path / "state", outer, rung)


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_files_in_a_submodule_are_told_and_do_not_land(with_submodule: Ground) -> None:
    ground = with_submodule
    assert "submodules (vendor/lib)" in "\n".join(ground.hub.rules().notes())
    workspace = ground.open()
    assert workspace.in_submodules() == ()
    write(workspace.path, {"vendor/lib/new.txt": "x\n", "vendor/lib/deep/er.txt": "x\n", "one.txt": "x\n"})
    assert workspace.in_submodules() == ("vendor/lib/new.txt", "vendor/lib/deep/er.txt")
    with pytest.raises(ToolError, match="lies in the submodule 'vendor/lib'"):
        ground.land(workspace, paths=("vendor/lib/new.txt",))
    assert isinstance(ground.land(workspace), Landed)
    assert ground.on_trunk("one.txt") == b"x\n"
    assert workspace.in_submodules() == ("vendor/lib/new.txt", "vendor/lib/deep/er.txt")


def test_a_submodule_that_was_fetched_or_replaced_is_not_looked_into(with_submodule: Ground, tmp_path: Path) -> None:
    workspace = with_submodule.open()
    git(workspace.path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    assert (workspace.path / "vendor/lib/lib.txt").exists()
    assert workspace.in_submodules() == ()
    assert workspace.changes().paths == ()
    other = with_submodule.open(2)
    (tmp_path / "outside/lib").mkdir(parents=True)
    write(tmp_path / "outside/lib", {"secret.txt": "x\n"})
    (other.path / "vendor/lib").rmdir()
    (other.path / "vendor").rmdir()
    (other.path / "vendor").symlink_to(tmp_path / "outside")
    assert other.in_submodules() == ()
