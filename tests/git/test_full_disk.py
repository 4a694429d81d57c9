"""A full disk in the files of a workspace is waited for, whichever step meets it."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from headway.domain.errors import Shortage, TransientError
from headway.git.hub import Hub
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from headway.system.shortage import WAIT_S, lacking
from tests.git.ground import RUNGS, Ground, write
from tests.support.disks import Disk, fill

STEPS: dict[str, Callable[[Ground, Workspace], object]] = {
    "another workspace": lambda ground, _: ground.open(2),
    "changes": lambda _, work: work.changes(),
    "landing": lambda ground, work: ground.land(work),
    "snapshot": lambda ground, work: snapshot(ground.hub, work, work.task, lambda: None),
}


LEFT = (0, 4_096, 8_192, 16_384, 32_768)
"""Bytes that a full disk still has: with each another write is the first that fails."""


def _is_short(step: Callable[[], object]) -> bool:
    """Whether a step met the full disk; it says so then in a way that is waited for, and is no fault of its own."""
    try:
        step()
    except TransientError as error:
        if error.delay_s != WAIT_S:
            raise AssertionError(f"not told as a full disk: {error}") from error
        return True
    return False


@pytest.mark.parametrize("rung", RUNGS)
def test_every_step_is_waited_for(source: Path, tmp_path: Path, rung: str) -> None:
    with Disk(tmp_path, "tmpfs", mb=64) as disk:
        ground = Ground.prepare(disk.at / "state", source, rung)  # type: ignore[arg-type]
        work = ground.open(1)
        write(work.path, {"x.txt": "x\n"})
        for number, leave in enumerate(LEFT):
            write(work.path, {f"y{number}.txt": f"{number}\n" * 1_000})
            ballast = fill(disk.at, leave)
            short = [name for name, step in STEPS.items() if _is_short(partial(step, ground, work))]
            shutil.rmtree(ballast)
            assert leave or short == list(STEPS)
        for step in STEPS.values():
            step(ground, work)
        assert ground.on_trunk("x.txt") == b"x\n"
        from headway.git.workspace import overlay

        overlay.unmount_below(disk.at)


@pytest.mark.parametrize("kind", ["folder", "address"])
def test_the_start_of_a_run_is_waited_for(source: Path, url: str, tmp_path: Path, kind: str) -> None:
    address = str(source) if kind == "folder" else url
    with Disk(tmp_path, "tmpfs", mb=64) as disk:
        hub = Hub(disk.at / "hub.git")
        made = 0
        for leave in (*LEFT, 1 << 16, 1 << 20):
            ballast = fill(disk.at, leave)
            try:
                made += not _is_short(lambda: hub.prepare(address, None))
            except OSError as error:
                if lacking(error) is None:
                    raise
            shutil.rmtree(ballast)
            shutil.rmtree(hub.folder, ignore_errors=True)
        assert 1 <= made <= len(LEFT)


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_a_workspace_that_could_not_be_made_leaves_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.open(1)  # with the first generation

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headway.git.workspace.workspaces.store_owner", full)
    with pytest.raises(Shortage):
        ground.open(2)
    assert [
        place for place in ground.workspaces.folder.glob("*/*") if "00000002" in place.name and place.is_dir()
    ] == []
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    assert [line for line in mounts if f"{ground.workspaces.folder}/" in line and "00000002" in line] == []
