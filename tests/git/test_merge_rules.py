"""A merge follows the `.gitattributes` of the trunk, as plain `git merge` does where the trunk is checked out."""

import random
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from headway.domain.ids import Oid
from headway.git.attributes import MergeRules
from headway.git.changes import Change, changes_of, entries
from headway.git.landing.landing import Conflicted, Landed
from headway.git.landing.merge_dir import MergeDir
from headway.git.landing.merging import UNMERGED, Merged
from headway.git.objects import Reader
from headway.git.repo import Repo
from tests.git.ground import Ground, git, make_repository, write

Files = dict[str, str | bytes | None]
LINES = [f"line {number}\n" for number in range(20)]
FILES = ("a.txt", "b.lock", "c.md", "sub/a.txt", "sub/deep/d.lock", "moved/e.txt")
RULES = ("merge=union", "-merge", "merge", "merge=text", "merge=binary", "!merge", "binary", "conflict-marker-size=11")
PATTERNS = ("*", "*.txt", "*.lock", "a.txt", "sub/**", "/c.md", "**/d.lock", "[attr]mine")


@dataclass
class _History:
    """A repository whose two sides change the same files, drawn from a seed."""

    base: Files
    ours: Files
    theirs: Files


def _rules(rng: random.Random) -> str:
    lines = [f"{rng.choice(PATTERNS)} {' '.join(rng.sample(RULES, rng.choice((1, 1, 2))))}" for _ in range(3)]
    return "\n".join(line for line in lines if not line.startswith("[attr]mine [")) + "\n"


def _edited(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.choice((3, 4, 17))
        if rng.random() < 0.5:
            lines[at] = f"changed {rng.random()}\n"
        else:
            lines.insert(at, f"new {rng.random()}\n")
    return "".join(lines)


def _drawn(seed: int) -> _History:
    rng = random.Random(seed)
    base: Files = {name: name + "\n" + "".join(LINES) for name in FILES}
    for place in ("", "sub/", "sub/deep/"):
        if rng.random() < 0.7:
            base[f"{place}.gitattributes"] = _rules(rng)
    sides: list[Files] = []
    for _ in range(2):
        side: Files = {}
        for name in rng.sample(FILES, 4):
            side[name] = _edited(rng, str(base[name]))
        if rng.random() < 0.3:
            name = rng.choice(("", "sub/")) + ".gitattributes"
            side[name] = None if name in base and rng.random() < 0.3 else _rules(rng)
        if rng.random() < 0.3:
            side["moved/e.txt"], side["sub/deep/e.txt"] = None, side.get("moved/e.txt", base["moved/e.txt"])
        sides.append(side)
    return _History(base, *sides)


def _plain_merge(place: Path, history: _History) -> tuple[dict[str, str], set[str]]:
    """The files of a plain `git merge` of the second side into the first, and the paths that conflict."""
    repo = make_repository(place, history.base)
    git(repo, "branch", "theirs")
    for branch, side in (("main", history.ours), ("theirs", history.theirs)):
        git(repo, "checkout", "--quiet", branch)
        write(repo, side)
        git(repo, "add", "--all")
        git(repo, "commit", "--quiet", "--allow-empty", f"--message={branch}")
    git(repo, "checkout", "--quiet", "main")
    git(repo, "-c", "merge.directoryRenames=false", "merge", "--quiet", "--no-edit", "theirs", check=False)
    unmerged = {name for name in git(repo, "diff", "-z", "--name-only", "--diff-filter=U").split("\0") if name}
    return {} if unmerged else _files_at(repo, "HEAD"), unmerged


@pytest.mark.parametrize("seed", range(200, 212))
def test_the_changes_of_their_side_tell_the_same_rules_as_its_trees(tmp_path: Path, seed: int) -> None:
    drawn = _drawn(seed)
    # Each side brings drivers of its own, so that no file can stand in for another one.
    sides = {"base": drawn.base, "ours": drawn.ours, "theirs": drawn.theirs}
    named = [
        {
            name: text.replace("merge=", f"merge={side}-") if isinstance(text, str) else text
            for name, text in files.items()
        }
        for side, files in sides.items()
    ]
    _plain_merge(tmp_path / "plain", _History(*named))
    repo = Repo(tmp_path / "plain/.git")
    ours, theirs, base = (repo.resolve(name) for name in ("main@{1}", "theirs", "theirs~1"))
    if git(tmp_path / "plain", "diff", "--name-only", "--diff-filter=U"):
        ours = repo.resolve("main")
    assert ours is not None
    assert theirs is not None
    assert base is not None
    changes = changes_of(entries(repo, base, theirs))
    with closing(Reader(repo, {})) as reader, closing(Reader(repo, {})) as other:
        assert MergeRules.read(reader, ours, theirs) == MergeRules.read(other, ours, theirs, changes)


def test_an_answer_to_a_conflict_reads_no_rules_again(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground.prepare(tmp_path / "state", source)
    write(ground.open(0).path, {".gitattributes": "*.lock merge=binary\n"})
    assert isinstance(ground.land(ground.open(0)), Landed)
    rivals = [ground.open(number) for number in range(1, 5)]
    for rival in rivals:
        write(rival.path, {"new.txt": f"{rival.task}\n"})
    assert isinstance(ground.land(rivals[0]), Landed)
    started: list[str] = []
    start, merge = Repo.start, MergeDir.merge

    def counted(self: Repo, *args: str) -> "subprocess.Popen[bytes]":
        started.append("read")
        return start(self, *args)

    def merged(self: MergeDir, ours: Oid, theirs: Oid, changes: Sequence[Change]) -> Merged:
        started.clear()
        result = merge(self, ours, theirs, changes)
        started.append("merged")
        return result

    monkeypatch.setattr(Repo, "start", counted)
    monkeypatch.setattr(MergeDir, "merge", merged)
    assert isinstance(ground.land(rivals[1]), Conflicted)
    for rival in rivals[2:]:
        assert isinstance(ground.land(rival), Conflicted)
        assert "read" not in started[: started.index("merged")]


def _files_at(repo: Path, rev: str) -> dict[str, str]:
    names = git(repo, "ls-tree", "-r", "-z", "--name-only", rev).split("\0")
    return {name: git(repo, "show", f"{rev}:{name}") for name in names if name}


CONFLICTING, CLEAN = (0, 1, 3, 6, 31), (19, 20, 26, 28, 34)


@pytest.mark.parametrize("seed", [*CONFLICTING, *CLEAN])
def test_landing_merges_as_plain_git_does(tmp_path: Path, seed: int) -> None:
    assert _compare(tmp_path, seed) is (Landed if seed in CLEAN else Conflicted), "both kinds are compared"


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_landing_merges_as_plain_git_does_in_many_histories(tmp_path: Path, block: int) -> None:
    for seed in range(100 + block * 30, 130 + block * 30):
        _compare(tmp_path / str(seed), seed)


def _compare(tmp_path: Path, seed: int) -> type[Conflicted | Landed]:
    """Land two sides of a history, and merge them by plain git: the outcome is the same, and this is its kind."""
    history = _drawn(seed)
    files, unmerged = _plain_merge(tmp_path / "plain", history)
    ground = Ground.prepare(tmp_path / "state", make_repository(tmp_path / "source", history.base), "clone")
    first, second = ground.open(1), ground.open(2)
    write(first.path, history.ours)
    write(second.path, history.theirs)
    assert isinstance(ground.land(first), Landed)
    outcome = ground.land(second)
    if unmerged:
        assert isinstance(outcome, Conflicted)
        assert set(outcome.paths) == unmerged
    else:
        assert isinstance(outcome, Landed)
        assert _files_at(ground.hub.folder, "main") == files
    ground.check_whole()
    return type(outcome)


def _two(ground: Ground, first: Files, second: Files) -> Conflicted | Landed:
    one, other = ground.open(1), ground.open(2)
    write(one.path, first)
    write(other.path, second)
    assert isinstance(ground.land(one), Landed)
    outcome = ground.land(other)
    assert isinstance(outcome, Conflicted | Landed)
    return outcome


def _with(place: Path, rules: str) -> Ground:
    files = {".gitattributes": rules, "a.txt": "".join(LINES)}
    return Ground.prepare(place / "state", make_repository(place / "source", files))


def test_a_merge_driver_of_the_repository_is_a_conflict_and_never_runs(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ground = _with(tmp_path, 'a.txt merge=own"\\name\n')
    git(ground.hub.folder, "config", 'merge.own"\\name.driver', f"touch {ran}")
    outcome = _two(ground, {"a.txt": "new\n" + "".join(LINES)}, {"a.txt": "".join(LINES) + "new\n"})
    assert isinstance(outcome, Conflicted)
    assert outcome.kinds == (UNMERGED,)
    assert not ran.exists()
    assert ground.hub.read_file(outcome.before, "a.txt") == ("".join(LINES) + "new\n").encode()


def test_markers_keep_their_size_so_that_they_are_known_again(tmp_path: Path) -> None:
    ground = _with(tmp_path, "* conflict-marker-size=32\n")
    outcome = _two(ground, {"a.txt": "one\n"}, {"a.txt": "two\n"})
    assert isinstance(outcome, Conflicted)
    assert "<<<<<<< trunk\n" in (ground.open(2).path / "a.txt").read_text()


def test_rules_that_a_landing_brings_count_for_the_next(tmp_path: Path) -> None:
    ground = _with(tmp_path, "")
    one, other = ground.open(1), ground.open(2)
    write(one.path, {".gitattributes": "a.txt merge=union\n", "a.txt": "one\n" + "".join(LINES)})
    write(other.path, {"a.txt": "two\n" + "".join(LINES)})
    assert isinstance(ground.land(one), Landed)
    assert isinstance(ground.land(other), Landed)
    assert ground.on_trunk("a.txt").decode() == "one\ntwo\n" + "".join(LINES)


def test_rules_below_very_deep_folders_are_followed(tmp_path: Path) -> None:
    deep = "/".join(["d" * 100] * 30)
    ground = Ground.prepare(
        tmp_path / "state",
        make_repository(tmp_path / "source", {f"{deep}/.gitattributes": "*.txt merge=union\n", f"{deep}/a.txt": "x\n"}),
        "clone",
    )
    outcome = _two(ground, {f"{deep}/a.txt": "one\nx\n"}, {f"{deep}/a.txt": "two\nx\n"})
    assert isinstance(outcome, Landed)
    assert not list(ground.hub.folder.glob("**/rules-*"))
