"""A landing and a snapshot that were told of are whole after a power loss, also where each file is synced by itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headway.git import settled
from headway.git.landing import merge_dir
from headway.git.landing.landing import Landed
from headway.git.settled import settle
from headway.git.workspace.snapshot import newest, snapshot
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, allowed, git, task, write
from tests.support.disks import Disk, mount, unmount


@pytest.fixture(params=["btrfs", "xfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path, request.param, options="commit=300" if request.param != "xfs" else "") as made:
        yield made


def _after_power_loss(disk: Disk, folder: Path) -> Path:
    """The disk as it is when the power fails now, mounted anew."""
    subprocess.run(["cp", "--sparse=always", str(disk.image), str(folder / "left.img")], check=True)
    unmount(disk.at)  # two disks with one identity are not mounted at once
    with suppress(FileNotFoundError):
        subprocess.run(["btrfs", "device", "scan", "--forget"], capture_output=True, check=False)
    again = folder / "again"
    again.mkdir()
    mount("-o", "loop,nouuid" if disk.kind == "xfs" else "loop", str(folder / "left.img"), str(again))
    return again


def _whole(hub: Path, ref: str) -> None:
    git(hub, "rev-list", "--objects", "--quiet", ref)
    git(hub, "fsck", "--connectivity-only", "--no-dangling", ref)


def test_a_landing_and_a_snapshot_are_whole_after_a_power_loss(disk: Disk, source: Path, tmp_path: Path) -> None:
    ground = Ground.prepare(disk.at / "state", source, "clone")
    one, two = ground.open(1), ground.open(2)
    os.sync()
    write(one.path, {f"new/{number}/deep/{number}.txt": f"{number}\n" for number in range(20)})
    write(two.path, {f"kept/{number}.txt": f"kept {number}\n" for number in range(20)})
    landed = ground.land(one)
    kept = snapshot(ground.hub, two, two.task, allowed)
    assert isinstance(landed, Landed)
    assert kept is not None
    again = _after_power_loss(disk, tmp_path)
    try:
        hub = again / "state/hub.git"
        assert git(hub, "rev-parse", "refs/heads/main") == landed.commit
        assert git(hub, "rev-parse", kept.ref) == kept.commit
        _whole(hub, "refs/heads/main")
        _whole(hub, kept.ref)
    finally:
        unmount(again)


class _Synced:
    """What was synced, as the kernel was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: set[Path] = set()
        real = os.fsync

        def fsync(handle: int) -> None:
            self.paths.add(Path(f"/proc/self/fd/{handle}").readlink())
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(settled, "_in_one_journal", lambda _: False)


def _unsynced(ground: Ground, synced: _Synced, revision: str) -> list[str]:
    """Loose objects of a revision, or names of them, that no sync reached."""
    listed = git(ground.hub.folder, "rev-list", "--objects", revision, f"^{ground.facts.base}").split("\n")
    objects = ground.hub.folder / "objects"
    places = [objects / line[:2] / line.split(" ")[0][2:] for line in listed]
    loose = [place for place in places if place.exists()]
    return [str(place) for place in loose if not {place, place.parent} <= synced.paths]


@pytest.mark.parametrize("slow", [False, True], ids=["spliced", "merged beside"])
def test_every_loose_object_of_a_landing_is_synced_with_its_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    first, second = ground.open(1), ground.open(2)
    app = (first.path / "src/app.py").read_text()
    synced = _Synced(monkeypatch)
    if slow:
        monkeypatch.setattr(merge_dir, "LONGEST_S", 0.0)
    for workspace, text in ((first, f"the start\n{app}"), (second, f"{app}the end\n")):
        write(workspace.path, {"src/app.py": text, f"own/{workspace.task[-1]}/x.txt": f"{workspace.task}\n"})
        assert isinstance(ground.land(workspace), Landed)
        assert _unsynced(ground, synced, "refs/heads/main") == []


def test_every_loose_object_of_a_snapshot_is_synced_with_its_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace: Workspace = ground.open(1)
    synced = _Synced(monkeypatch)
    for number in range(3):
        write(workspace.path, {f"own/{number}/x.txt": f"{number}\n"})
        snapshot(ground.hub, workspace, workspace.task, allowed)
        kept = newest(ground.hub, task(1))
        assert kept is not None
        assert _unsynced(ground, synced, kept.commit) == []


def test_an_object_that_was_packed_meanwhile_is_synced_by_its_pack(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ground.open(1)
    write(workspace.path, {"new.txt": "new\n"})
    with workspace.held():
        tree = workspace.scan().tree
    git(ground.hub.folder, "repack", "-d", "-q", "--geometric=2")
    synced = _Synced(monkeypatch)
    shutil.rmtree(ground.hub.folder / "objects" / tree[:2], ignore_errors=True)
    settle(ground.hub.repo, ground.hub.repo.tree_of(ground.facts.base), tree)
    assert ground.hub.folder / "objects/pack" in synced.paths
