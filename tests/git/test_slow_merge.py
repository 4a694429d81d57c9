"""A merge ends, nobody but its author waits for it, and what cannot be merged in time is a conflict, never a retry."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from headway.domain.ids import Oid
from headway.git.git_environment import hermetic_environment
from headway.git.git_process import TIMED_OUT, GitError, run_git
from headway.git.hub import NOBODY
from headway.git.landing import bounded_merge, merge_dir
from headway.git.landing.bounded_merge import Bound, merge_bounded, merge_trees, merge_whole_files
from headway.git.landing.landing import Conflicted, Landed, NothingToLand
from headway.git.landing.merging import WHOLE_FILE, Merged, merge_commits
from headway.git.objects import Reader
from headway.git.repo import Repo
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, LandingThread, changed, queued, trunk_locked, write
from tests.git.test_splice import Files, Trees, files
from tests.support.waiting import wait_until

APP = "src/app.py"


def _late() -> GitError:
    return GitError(["merge-tree"], TIMED_OUT, "no answer")


@pytest.fixture
def uneven(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose change needs a merge, and no merge is quick enough for the trunk's lock."""
    first, slow = changed(ground, 1), changed(ground, 2)
    app = (first.path / APP).read_text()
    write(first.path, {APP: f"the start\n{app}"})
    write(slow.path, {APP: f"{app}the end\n"})
    assert isinstance(ground.land(first), Landed)
    monkeypatch.setattr(merge_dir, "LONGEST_S", 0.0)
    return slow


real: Callable[..., Merged] = merge_commits


def _merging(monkeypatch: pytest.MonkeyPatch, first: Callable[[], object]) -> list[Repo]:
    """Have `first` called in front of every merge beside the lock; returns how they were made."""
    made: list[Repo] = []

    def merge(repo: Repo, *args: object, **more: object) -> Merged:
        made.append(repo)
        first()
        return real(repo, *args, **more)

    monkeypatch.setattr(bounded_merge, "merge_commits", merge)
    return made


def test_others_land_while_a_slow_merge_is_made(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert go.wait(60)

    made = _merging(monkeypatch, wait)
    with trunk_locked(ground):
        slow = LandingThread(ground, uneven)
        wait_until(lambda: len(queued(ground)) == 1)
    assert begun.wait(60)
    for number in range(3, 6):
        assert isinstance(ground.land(changed(ground, number)), Landed)
    assert not queued(ground)
    assert slow.is_alive()
    go.set()
    assert isinstance(slow.answer(), Landed)
    # Others moved the trunk, but nothing that was merged.
    assert len(made) == 1
    text = ground.on_trunk(APP).decode()
    assert (text.startswith("the start\n"), text.endswith("the end\n")) == (True, True)
    ground.check_whole()


def test_a_merge_is_made_again_when_the_trunk_moved_in_the_same_files(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = ground.open(3)
    text = (rival.path / APP).read_text()

    def overtake() -> None:
        if ground.landings() == 1:
            write(rival.path, {APP: text.replace("line 10\n", "the middle\n")})
            assert isinstance(ground.land(rival), Landed)

    made = _merging(monkeypatch, overtake)
    assert isinstance(ground.land(uneven), Landed)
    assert len(made) == 2
    assert all(line in ground.on_trunk(APP).decode() for line in ("the start\n", "the middle\n", "the end\n"))


def test_a_trunk_that_always_moves_first_ends_as_a_conflict(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = ground.open(3)

    def overtake() -> None:
        write(rival.path, {APP: f"{ground.landings()}\n{(rival.path / APP).read_text()}"})
        assert isinstance(ground.land(rival), Landed)

    made = _merging(monkeypatch, overtake)
    outcome = ground.land(uneven)
    assert isinstance(outcome, Conflicted)
    assert (outcome.paths, outcome.kinds) == ((APP,), (WHOLE_FILE,))
    assert len(made) == 3
    assert outcome.trunk == ground.hub.tip()


def test_without_time_for_renames_a_moved_file_conflicts(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    first, mover = ground.open(1), ground.open(2)
    app = (first.path / APP).read_text()
    write(first.path, {APP: f"the start\n{app}"})
    moved = {"lib/app.ts": f"{app}the end\n", "doc.txt": "hello\nworld\n"}
    write(mover.path, {APP: None, "README.md": None, **moved})
    assert isinstance(ground.land(first), Landed)
    monkeypatch.setattr(merge_dir, "LONGEST_S", 0.0)
    late = iter([_late()])

    def slow_at_first() -> None:
        for error in late:
            raise error

    made = _merging(monkeypatch, slow_at_first)
    outcome = ground.land(mover)
    assert isinstance(outcome, Conflicted)
    assert dict(zip(outcome.paths, outcome.kinds, strict=True)) == {APP: "modify/delete"}
    assert [dict(repo.settings).get("merge.renameLimit") for repo in made] == [None, "1"]
    assert (mover.path / "lib/app.ts").read_text() == f"{app}the end\n"


def test_without_time_for_lines_whole_files_conflict_and_are_resolved(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> None:
        raise _late()

    _merging(monkeypatch, slow)
    outcome = ground.land(uneven)
    assert isinstance(outcome, Conflicted)
    assert (outcome.paths, outcome.kinds, outcome.rounds) == ((APP,), (WHOLE_FILE,), 1)
    assert (uneven.path / APP).read_text() == ground.on_trunk(APP).decode()
    assert ground.hub.read_file(outcome.before, APP).endswith(b"the end\n")
    write(uneven.path, {APP: f"{(uneven.path / APP).read_text()}the end\n"})
    assert isinstance(ground.land(uneven), Landed)
    ground.check_whole()


def test_what_stays_behind_is_merged_in_time_too(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> None:
        raise _late()

    _merging(monkeypatch, slow)
    outcome = ground.land(uneven, paths=("own",))
    assert isinstance(outcome, Landed)
    assert outcome.conflicted == (APP,)


@pytest.mark.parametrize("killed", [TIMED_OUT, -24, -9])
def test_only_what_takes_too_long_is_made_otherwise(
    ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    def fail() -> None:
        raise GitError(["merge-tree"], killed, "")

    made = _merging(monkeypatch, fail)
    assert isinstance(ground.land(uneven), Conflicted)
    assert len(made) == 2


def test_another_error_of_git_is_told(ground: Ground, uneven: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise GitError(["merge-tree"], 128, "the object is corrupt")

    _merging(monkeypatch, fail)
    with pytest.raises(GitError, match="corrupt"):
        ground.land(uneven)
    assert not queued(ground)


def test_processor_time_is_bounded_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (tmp_path / "git").chmod(0o755)
    began = time.monotonic()
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(GitError) as ended:
        run_git(["merge-tree"], env=hermetic_environment(), cpu_s=1)
    assert ended.value.exhausted
    assert time.monotonic() - began < 60


def test_a_merge_of_many_renames_ends(ground: Ground) -> None:
    """By the real git: every file moved and edited on one side, and edited on the other."""
    base = {f"src/{n}.js": "".join(f"{(n * k) % 97} {k}\n" for k in range(60)) for n in range(700)}
    ours = {name: f"// header\n{text}" for name, text in base.items()}
    theirs = {f"lib/{name[4:-2]}ts": f"import x\n{text}end\n" for name, text in base.items()}
    repo = ground.hub.repo
    trees: list[Oid] = []
    for contents in (base, ours, theirs):
        place = ground.open(len(trees))
        write(place.path, contents)
        with place.held():
            trees.append(place.scan().tree)
    merged = merge_trees(repo, trees[0], trees[1], trees[2], Bound(cpu_s=1, wall_s=0.05))
    assert len(merged.conflicts) == 700


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=files(), ours=files(), theirs=files())
def test_whole_files_merge_as_said(trees: Trees, base: Files, ours: Files, theirs: Files) -> None:
    """One side's change is taken, both sides' conflicts and stays ours, and where git sees no conflict it agrees."""
    repo = trees.repo
    root = repo.commit(trees.tree(base), (), "base", NOBODY)
    trunk, side = (repo.commit(trees.tree(each), (root,), "side", NOBODY) for each in (ours, theirs))
    merged = merge_whole_files(repo, trunk, side)
    repo.run("fsck", "--full", "--strict", "--no-dangling")
    fought = {conflict.path for conflict in merged.conflicts}
    held = _listed(repo, merged.tree)
    mine, trunks, before = (_listed(repo, repo.tree_of(commit)) for commit in (side, trunk, root))
    for name in {*held, *mine, *trunks, *before}:
        came, wanted, was = trunks.get(name), mine.get(name), before.get(name)
        if name in fought or wanted == was:
            assert held.get(name) == came
        else:
            assert held.get(name) == wanted
        if came not in (was, wanted) and wanted != was:
            assert name in fought
    reader = Reader(repo, {})
    by_lines = merge_bounded(repo, reader, trunk, side)
    reader.close()
    if not fought:
        assert (by_lines.tree, by_lines.conflicts) == (merged.tree, ())


def _listed(repo: Repo, tree: Oid) -> dict[str, str]:
    said = repo.run("ls-tree", "-r", "-z", tree).text.split("\0")
    return {path: facts for facts, _, path in (line.partition("\t") for line in said if line)}


def test_what_others_landed_already_needs_no_merge_of_lines(ground: Ground, uneven: Workspace) -> None:
    same = ground.open(3)
    write(same.path, {APP: (uneven.path / APP).read_text().replace("line 0\n", "the start\nline 0\n", 1)})
    write(same.path, {"own/2.txt": "2\n"})
    assert isinstance(ground.land(same), Landed)
    assert isinstance(ground.land(uneven), NothingToLand)
