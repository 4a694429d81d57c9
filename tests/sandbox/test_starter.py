"""Commands start where no workspace is mounted but their own, whatever else this machine has mounted."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headway.domain.errors import ToolError
from headway.git.workspace import overlay
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.backends.host_binds import host_binds
from headway.sandbox.local import LocalSandbox
from headway.sandbox.process import mounts, running_command
from headway.sandbox.process.clean_mount_spawner import CleanMountSpawner
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("bwrap"), reason="only root mounts workspaces, and bubblewrap walls them in"
)


class Ground:
    """Some workspaces, mounted as the git room mounts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "layer").mkdir()
        (folder / "layer/file").write_text("of the layer\n")
        self.sandbox = LocalSandbox(Bubblewrap(host_binds([folder]), programs()[0]))

    def workspace(self, name: str) -> Path:
        upper, scratch = self.folder / name / "upper", self.folder / name / "scratch"
        upper.mkdir(parents=True)
        scratch.mkdir()
        return overlay.mount([self.folder / "layer"], upper, scratch)

    def command(self, workspace: Path, line: str, **walls: tuple[Path, ...]) -> Command:
        return Command(line, workspace, 30.0, SandboxSpec(agent="tests/agent", workspace=workspace, **walls))  # type: ignore[arg-type]

    async def around(self, workspace: Path) -> str:
        """What is mounted around a command: as its outermost process sees it."""
        running = asyncio.create_task(self.sandbox.run(self.command(workspace, "touch started; sleep 600")))
        await until((workspace / "started").exists)
        (outermost,) = bubblewraps()
        seen = mounted(outermost)
        running.cancel()
        await asyncio.wait({running})
        await until(lambda: not bubblewraps())
        (workspace / "started").unlink()
        return seen


def bubblewraps() -> list[int]:
    """Those that we have started; those that we have adopted, from a test of another level, are dead."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child.pid for child in living if child.name() == "bwrap"]


def mounted(pid: int) -> str:
    return Path(f"/proc/{pid}/mountinfo").read_text()


def namespace() -> Path:
    """That of the thread that asks."""
    return Path("/proc/thread-self/ns/mnt").readlink()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    if why := overlay.trouble(tmp_path):
        pytest.skip(why)
    yield Ground(tmp_path)
    overlay.unmount_below(tmp_path)


async def test_around_a_command_no_other_workspace_is_mounted(ground: Ground) -> None:
    mine, other = ground.workspace("mine"), ground.workspace("other")
    seen = await ground.around(mine)
    assert f" {mine} " in seen
    assert f" {other} " not in seen
    later = ground.workspace("later")
    seen = await ground.around(later)
    assert f" {later} " in seen
    assert f" {mine} " not in seen


async def test_the_command_works_in_its_own_one(ground: Ground) -> None:
    mine, other = ground.workspace("mine"), ground.workspace("other")
    result = await ground.sandbox.run(ground.command(mine, "cat file; echo new > made; cat /proc/self/mountinfo"))
    assert result.output.startswith("of the layer\n")
    assert (ground.folder / "mine/upper/made").read_text() == "new\n"
    assert str(ground.folder / "mine") in result.output
    assert str(other.parent.parent) not in result.output


async def test_what_else_it_may_read_is_there_also_if_it_was_mounted_a_moment_ago(ground: Ground) -> None:
    mine = ground.workspace("mine")
    await ground.sandbox.run(ground.command(mine, "true"))
    readable = ground.workspace("readable")
    result = await ground.sandbox.run(ground.command(mine, f"cat {readable}/file", readable=(readable,)))
    assert (result.exit_code, result.output) == (0, "of the layer\n")


async def test_this_process_stays_where_it_is(ground: Ground) -> None:
    before, cwd = namespace(), Path.cwd()
    mine = ground.workspace("mine")
    await ground.sandbox.run(ground.command(mine, "true"))
    assert (namespace(), Path.cwd()) == (before, cwd)
    assert await asyncio.to_thread(namespace) == before
    assert overlay.mounted_below(ground.folder) == [mine]


async def test_a_workspace_can_be_taken_away_after_its_command_was_cancelled(ground: Ground) -> None:
    mine = ground.workspace("mine")
    line = "setsid sh -c 'sleep 600' & touch started; wait"
    running = asyncio.create_task(ground.sandbox.run(ground.command(mine, line)))
    await until((mine / "started").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    overlay.unmount(mine)
    shutil.rmtree(ground.folder / "mine")
    assert not overlay.mounted_below(ground.folder)


async def test_many_at_once_each_find_their_own(ground: Ground) -> None:
    places = [ground.workspace(f"one{number}") for number in range(12)]
    for place in places:
        (place / "name").write_text(place.parent.parent.name)
    results = await asyncio.gather(*(ground.sandbox.run(ground.command(place, "cat name")) for place in places))
    assert [result.output for result in results] == [f"one{number}" for number in range(12)]


async def test_a_command_that_cannot_be_started_says_so_and_the_next_one_starts(ground: Ground) -> None:
    mine = ground.workspace("mine")
    with pytest.raises(ToolError, match="could not be started"):
        await ground.sandbox.run(ground.command(mine, "x" * 3_000_000))
    assert f" {mine} " in await ground.around(mine)
    assert (await ground.sandbox.run(ground.command(mine, "cat file"))).output == "of the layer\n"


@pytest.mark.parametrize("call", ["leave", "enter", "part", "copy", "put"])
async def test_where_the_kernel_refuses_it_a_command_runs_all_the_same(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(running_command, "STARTER", CleanMountSpawner())
    monkeypatch.setattr(mounts, call, refused)
    mine = ground.workspace("mine")
    for _ in range(2):
        result = await ground.sandbox.run(ground.command(mine, "cat file; ls /proc/1/root"))
        assert result.output.startswith("of the layer\n")
        assert (await ground.sandbox.run(ground.command(mine, f"ls {ground.folder}"))).exit_code != 0


async def test_an_old_clearing_is_made_again(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    starter = CleanMountSpawner(fresh_s=0.02)
    monkeypatch.setattr(running_command, "STARTER", starter)
    mine, other = ground.workspace("mine"), ground.workspace("other")
    for _ in range(4):
        seen = await ground.around(mine)
        assert f" {mine} " in seen
        assert f" {other} " not in seen
