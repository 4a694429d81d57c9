"""What is spliced, packed and written as a commit without git is what git itself would have made."""

import os
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from headway.domain.ids import Oid
from headway.git.changes import changes_of, entries, with_entries
from headway.git.git_environment import hermetic_environment
from headway.git.landing.bounded_merge import merge_trees
from headway.git.landing.commit_text import commit_text
from headway.git.landing.landing import Landed
from headway.git.landing.pack import Pack
from headway.git.landing.splice import Splice, Uneven
from headway.git.objects import Reader
from headway.git.repo import Repo
from tests.git.ground import AUTHOR, Ground, git, write

NAMES = ("a", "a.b", "a/x", "a/y/z", "a0", "b", "b/c", "dé", "d/a\nb")
MODES = ("100644", "100755", "120000")
Files = dict[str, tuple[str, str]]


@st.composite
def files(draw: st.DrawFn) -> Files:
    """A tree: no name is both a file and a folder. Its contents share no line, so that none is taken for another."""
    found: Files = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        if not any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in found):
            found[name] = draw(st.sampled_from(MODES)), draw(st.sampled_from("123"))
    return found


class Trees:
    """A repository of nothing but trees."""

    def __init__(self, folder: Path) -> None:
        env = {"GIT_DIR": str(folder), **hermetic_environment()}
        subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], env=env, check=True)
        self.repo = Repo(folder)
        self.empty = self.repo.run("hash-object", "-t", "tree", "-w", "--stdin").oid
        self.pack = Pack(folder / "objects" / "pack", self.empty)
        self.reader = Reader(self.repo, self.pack.objects)
        self.splice = Splice(self.reader, lambda body: self.pack.add("tree", body))

    def tree(self, files: Files) -> Oid:
        """A tree of these files."""
        lines = []
        for name, (mode, text) in files.items():
            content = f"{text} of {name}".encode()
            blob = self.repo.run("hash-object", "-w", "--stdin", stdin=content).oid
            lines.append(f"{mode} {blob}\t{name}")
        return with_entries(self.repo, self.empty, lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=files(), ours=files(), theirs=files())
@example(  # both took the same file away, and one of them also changed a folder beside it
    base=dict.fromkeys(("a/x", "a/y/z", "a0"), ("100644", "1")),
    ours=dict.fromkeys(("a/x", "a/y/z"), ("100644", "1")),
    theirs={"a/x": ("100644", "1")},
)
def test_a_splice_is_the_merge(trees: Trees, base: Files, ours: Files, theirs: Files) -> None:
    before, trunk, wanted = trees.tree(base), trees.tree(ours), trees.tree(theirs)
    changes = changes_of(entries(trees.repo, before, wanted))
    try:
        spliced = trees.splice.into(trunk, changes)
    except Uneven:
        return
    trees.pack.write(synced=False)
    trees.repo.run("fsck", "--full", "--strict", "--no-dangling")
    merged = merge_trees(trees.repo, before, trunk, wanted)
    assert merged.conflicts == ()
    assert spliced == merged.tree


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=files(), theirs=files())
def test_on_an_unchanged_trunk_every_change_is_a_splice(trees: Trees, base: Files, theirs: Files) -> None:
    before, wanted = trees.tree(base), trees.tree(theirs)
    assert trees.splice.into(before, changes_of(entries(trees.repo, before, wanted))) == wanted


@pytest.mark.parametrize(
    "author",
    [AUTHOR, "Zoë Ünï <zoe@example.org>", "No Mail <>", ". Odd, <odd@example.org>", "a < b <x@example.org>"],
)
def test_a_commit_is_as_git_writes_it(ground: Ground, author: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ground.hub.repo.tree_of(ground.facts.base)
    message = "Sübject\n\nBody\n\nHeadway-Task: x\n"
    by_git = ground.hub.repo.commit(tree, (ground.facts.base,), message, author)
    said = ground.hub.repo.run("cat-file", "commit", by_git).out
    stamp = said.split(b"> ")[1].split(b" ")[0]
    monkeypatch.setattr("headway.git.landing.commit_text.time.time", lambda: int(stamp))
    assert commit_text(tree, (ground.facts.base,), author, message) == said


def test_a_repository_of_sha256_lands_too(tmp_path: Path) -> None:
    source = tmp_path / "sha256"
    source.mkdir()
    git(source, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    write(source, {"a/b.txt": "b\n", "c.txt": "c\n"})
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=First commit")
    ground = Ground.prepare(tmp_path / "state", source)
    first, second = ground.open(1), ground.open(2)
    write(first.path, {"a/new.txt": "new\n"})
    write(second.path, {"a/b.txt": "changed\n"})
    assert isinstance(ground.land(first), Landed)
    assert isinstance(ground.land(second), Landed)
    assert ground.on_trunk("a/b.txt") == b"changed\n"
    ground.check_whole()


def test_a_reader_whose_git_was_killed_starts_another(ground: Ground) -> None:
    reader = Reader(ground.hub.repo, {})
    first = reader.read(ground.facts.base)
    assert reader._git is not None
    os.kill(reader._git.pid, 9)
    reader._git.wait()
    with pytest.raises(Exception, match=r"lacks|Broken pipe"):
        reader.read(ground.facts.base)
    assert reader.read(ground.facts.base) == first
    reader.close()
