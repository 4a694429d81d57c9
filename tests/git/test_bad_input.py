"""Repositories and changes that are out of the ordinary: each works, or is refused at the start with one message."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headway.domain.errors import HeadwayError
from headway.git.changes import Changes
from headway.git.git_process import GitOutput
from headway.git.landing.landing import Landed, LandingRefused
from headway.git.repo import Repo
from headway.git.workspace import overlay
from headway.git.workspace.snapshot import newest, snapshot
from tests.git.ground import RUNGS, Ground, allowed, git, make_repository, write

pytestmark = pytest.mark.parametrize("rung", RUNGS, indirect=True)

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n".format("0" * 64)
LARGE = 500 << 20


def test_a_shallow_clone_works(tmp_path: Path, source: Path, rung: None) -> None:
    write(source, {"second.txt": "second\n"})
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=Second")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{source}", "shallow")
    ground = Ground.prepare(tmp_path / "state", tmp_path / "shallow", rung)
    workspace = ground.open()
    assert git(workspace.path, "log", "--format=%s") == "Second"
    write(workspace.path, {"new.txt": "new\n"})
    assert isinstance(ground.land(workspace), Landed)
    git(ground.hub.folder, "fsck", "--no-dangling")


def test_pointers_of_lfs_stay_pointers_and_nothing_is_fetched(tmp_path: Path, rung: None) -> None:
    files: dict[str, str | bytes | None] = {"big.bin": LFS}
    source = make_repository(tmp_path / "source", files)
    write(source, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    git(source, "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false", "add", "--all")
    git(source, "commit", "--quiet", "--message=With LFS")
    git(source, "config", "filter.lfs.smudge", "false")
    git(source, "config", "filter.lfs.required", "true")
    ground = Ground.prepare(tmp_path / "state", source, rung)
    workspace = ground.open()
    assert (workspace.path / "big.bin").read_text() == LFS
    write(workspace.path, {"big.bin": LFS.replace("12345", "6")})
    assert workspace.changes().modified == ("big.bin",)
    # A pointer that was made up points to nothing that any server has.
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert "filter (lfs)" in refused.reason
    write(workspace.path, {"big.bin": None, "moved.bin": LFS})
    assert isinstance(ground.land(workspace), Landed)
    assert ground.on_trunk("moved.bin") == LFS.encode()


def test_a_name_that_is_no_utf_8_lands_and_comes_back(ground: Ground) -> None:
    workspace = ground.open(1)
    name = os.fsdecode(b"caf\xe9.txt")
    write(workspace.path, {name: "bytes\n"})
    assert workspace.changes().added == ("caf\\xe9.txt",)
    assert isinstance(ground.land(workspace), Landed)
    other = ground.open(2)
    assert (other.path / name).read_text() == "bytes\n"
    (other.path / name).unlink()
    assert other.changes().deleted == ("caf\\xe9.txt",)


def test_a_name_that_git_refuses_is_found_among_many_by_halves(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = ground.open(1)
    names = [f"new/{number}" for number in range(500)]
    write(workspace.path, dict.fromkeys([*names, "git~1", "new/git~1"], "x\n"))
    asked: list[str] = []
    run = Repo.run

    def counted(self: Repo, *args: str, **more: object) -> GitOutput:
        asked.append(args[0])
        return run(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Repo, "run", counted)
    changes = workspace.changes()
    assert (changes.added, changes.unreadable) == (tuple(sorted(names)), ("git~1", "new/git~1"))
    assert asked.count("update-index") < 50


@pytest.mark.parametrize("named", [os.fsdecode(b"caf\xe9"), "caf\\xe9"], ids=["bytes", "shown"])
def test_a_repository_is_refused_however_its_name_is_written(ground: Ground, named: str) -> None:
    workspace = ground.open(1)
    place = workspace.path / os.fsdecode(b"caf\xe9")
    place.write_text("a file\n")
    assert isinstance(ground.land(workspace), Landed)
    place.unlink()
    make_repository(place, {"inside": "x\n"})
    refused = ground.land(workspace, paths=(named,))
    assert isinstance(refused, LandingRefused)
    assert refused.paths == ("caf\\xe9",)


def test_a_rename_in_case_only_is_a_rename(ground: Ground) -> None:
    workspace = ground.open(1)
    (workspace.path / "README.md").rename(workspace.path / "readme.md")
    assert (workspace.changes().added, workspace.changes().deleted) == (("readme.md",), ("README.md",))
    assert isinstance(ground.land(workspace), Landed)
    assert sorted(place.name for place in ground.open(2).path.glob("[rR]*")) == ["readme.md"]


def test_a_file_of_500_mb_is_doubted_once_and_kept_in_a_snapshot(ground: Ground) -> None:
    if ground.workspaces.level == "clone":
        pytest.skip("tried on overlays; git takes its time to pack 500 MB")
    workspace = ground.open(1)
    with (workspace.path / "huge.bin").open("wb") as file:
        file.truncate(LARGE)
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert (refused.paths, refused.doubtful) == (("huge.bin",), True)
    kept = snapshot(ground.hub, workspace, workspace.task, allowed)
    assert kept is not None
    assert git(ground.hub.folder, "cat-file", "-s", f"{kept.commit}:huge.bin") == str(LARGE)
    assert ground.landings() == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", place], check=True)
    yield place
    overlay.unmount_below(place)
    overlay.unmount(place)


def _fill(disk: Path) -> Path:
    """Leave no room at all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


@pytest.mark.parametrize("step", ["land", "snapshot", "open", "remove"])
def test_a_full_disk_loses_nothing_and_the_same_call_works_later(
    full_disk: Path, source: Path, rung: None, step: str
) -> None:
    ground = Ground.prepare(full_disk / "state", source, rung)
    workspace = ground.open(1)
    write(workspace.path, {"new.bin": os.urandom(100_000).hex(), "README.md": "changed\n"})
    asked = ground.ask(workspace, accept_doubtful=True)

    def call() -> object:
        match step:
            case "land":
                return ground.landing.land(workspace, asked, allowed)
            case "snapshot":
                return snapshot(ground.hub, workspace, workspace.task, allowed)
            case "open":
                return ground.open(2)
            case _:
                ground.workspaces.remove(workspace)
                return None

    filler = _fill(full_disk)
    with suppress(HeadwayError, OSError):
        call()
    filler.unlink()
    assert ground.landings() in {0, 1}
    ground.check_whole()
    if step == "remove":
        assert (workspace.path / "README.md").read_text() == "changed\n"
        return
    done = call()
    if step == "land":
        assert isinstance(done, Landed)
        assert ground.landings() == 1
        assert ground.on_trunk("README.md") == b"changed\n"
    elif step == "snapshot":
        assert newest(ground.hub, workspace.task) == done
    assert ground.open(3).changes() == Changes()
    ground.check_whole()
