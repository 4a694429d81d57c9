"""Random histories through each way of making workspaces, with plain git in a fresh clone as the judge.

The long form plays 2,000 for each. That the net catches is tried too: each fault below was once in the engine, and is
put back.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.git.changes import Change, shown
from headway.git.landing import landing, splice
from headway.git.landing.merging import Merged
from headway.git.repo import Repo
from headway.git.workspace import checkout, scan, workspace
from headway.git.workspace.checkout import LooseFiles
from headway.git.workspace.workspace_backend import WorkspaceBackend, overlay_trouble
from tests.git.ground import RUNGS
from tests.git.histories import Differs, batches

SHORT, LONG = 6, 2_000
FAULT_SEED = 1
MOST = 300
"""Histories in which a fault has to be found."""


@pytest.fixture
def place(tmp_path: Path, rung: WorkspaceBackend | None) -> Path:
    """Where they are played: in memory, where there is room, because a history is mostly small files."""
    assert rung is not None
    return tmp_path


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_a_few_histories_come_out_as_plain_git_says(place: Path, rung: WorkspaceBackend) -> None:
    assert batches(place, rung, os.getpid(), SHORT)["histories"] == SHORT


@pytest.mark.long
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_many_histories_come_out_as_plain_git_says(place: Path, rung: WorkspaceBackend) -> None:
    done = batches(place, rung, 1, LONG)
    print(f"{rung}: {dict(done)}")
    assert done["histories"] == LONG


def _in_a_namespace(place: Path, count: int) -> str:
    if overlay_trouble(place) or shutil.which("unshare") is None:
        pytest.skip("no overlays here")
    asked = ("--namespace", "--rung", "overlay", "--count", str(count), "--place", str(place))
    command = [sys.executable, "-m", "tests.git.histories", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    if "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def test_overlays_of_a_user_namespace_come_out_as_plain_git_says(tmp_path: Path) -> None:
    assert f"'histories': {SHORT}" in _in_a_namespace(tmp_path, SHORT)


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_many_histories_in_a_user_namespace(tmp_path: Path) -> None:
    said = _in_a_namespace(tmp_path, LONG)
    print(said)
    assert f"'histories': {LONG}" in said


def _recent_files_unseen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkout, "changed_paths", lambda *_: frozenset())


def _index_is_kept(patch: pytest.MonkeyPatch) -> None:
    once = LooseFiles.scan

    def kept(self: LooseFiles, repo: Repo, base: str) -> scan.Scan:
        index = self.home / "kept-index"
        if index.exists():
            shutil.copy2(index, self.home / checkout.CHECKED_OUT)
            patch.setattr(Repo, "run", _without_base(Repo.run, base))
        found = once(self, repo, base)  # type: ignore[arg-type]
        assert repo.index is not None
        shutil.copy2(repo.index, index)
        return found

    patch.setattr(LooseFiles, "scan", kept)


def _without_base(run: Callable[..., object], base: str) -> Callable[..., object]:
    def other(self: Repo, *args: str, **more: object) -> object:
        return run(self, "version", **more) if args[:3] == ("read-tree", "-i", "-m") else run(self, *args, **more)

    return other


def _own_bytes_are_changes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scan, "as_written", lambda *_: frozenset())


def _rules_move_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(workspace, "renew", lambda *_, **__: None)


def _markers_by_shown_names(patch: pytest.MonkeyPatch) -> None:
    new = landing._open_conflicts

    def old(repo: Repo, merged: Merged, earlier: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(shown, new(repo, merged, earlier)))

    patch.setattr(landing, "_open_conflicts", old)


def _both_took_it_away(patch: pytest.MonkeyPatch) -> None:
    new = splice._put

    def old(entries: dict[bytes, bytes], name: bytes, change: Change) -> None:
        if name in entries or change.new is not None:
            new(entries, name, change)

    patch.setattr(splice, "_put", old)


def _nested_in_a_file_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scan, "_replaced_by_folders", lambda *_: (set(), set()))


FAULTS: dict[str, tuple[WorkspaceBackend, Callable[[pytest.MonkeyPatch], None]]] = {
    "a file that landed since the layers were built can be deleted unseen": ("overlay", _recent_files_unseen),
    "an earlier scan decides about a later one": ("clone", _index_is_kept),
    "bytes of a checkout are a change": ("overlay", _own_bytes_are_changes),
    "files stay as older attributes had them": ("clone", _rules_move_alone),
    "markers are looked for under the name as it is shown": ("clone", _markers_by_shown_names),
    "a file that one side moved and the other took away lands": ("clone", _both_took_it_away),
    "a repository in the place of a file is told of nowhere": ("clone", _nested_in_a_file_place),
}


@pytest.mark.long
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize(("fault", "rung"), [(name, rung) for name, (rung, _) in FAULTS.items()], indirect=["rung"])
def test_the_net_catches_each_fault_of_before(
    place: Path, fault: str, rung: WorkspaceBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    FAULTS[fault][1](monkeypatch)
    with pytest.raises(Differs) as caught:
        batches(place, rung, FAULT_SEED, MOST)
    print(f"{fault}: {str(caught.value)[:300]}")


def test_the_net_catches_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the short form one that most histories meet: scans that see no new file."""
    monkeypatch.setattr(scan, "take_in", lambda *_: ())
    with pytest.raises(Differs):
        batches(tmp_path, "clone", FAULT_SEED, 25)
