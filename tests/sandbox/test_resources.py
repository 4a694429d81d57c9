"""What a hostile or unlucky command does to a machine: bounded, told truthfully, and gone soon after; at every level.

What a level cannot hold a command to on this machine is skipped with the reason.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from headway.domain.errors import TransientError, UserError
from headway.sandbox.backend import Launch
from headway.sandbox.backends.backends import PINS, Backends
from headway.sandbox.backends.plain import Plain
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.disk_usage import Quota
from headway.sandbox.local import LocalSandbox
from headway.sandbox.process import watchdog
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command, CommandResult
from headway.sandbox.spec import SandboxSpec
from tests.support.waiting import until

QUOTA_MB = 200
MEMORY_MB = 256
AGENTS = 300
PYTHON = os.path.realpath(sys.executable) if os.geteuid() == 0 else "/usr/bin/python3"
"""One that commands see: the environment of the tests themselves is shown only where it is on PATH."""

Run = Callable[..., "asyncio.Future[CommandResult]"]


@pytest.fixture(scope="module")
def resources() -> Iterator[Resources]:
    held = Resources(Groups.detect(), None, Quota(QUOTA_MB))
    yield held
    held.close()


@pytest.fixture(scope="module")
def levels(resources: Resources, tmp_path_factory: pytest.TempPathFactory) -> Backends:
    """What this machine has."""
    return Backends([tmp_path_factory.mktemp("private")], resources)


@pytest.fixture(params=PINS)
def sandbox(request: pytest.FixtureRequest, levels: Backends) -> LocalSandbox:
    """Each level that this machine can put up."""
    try:
        return levels.choose(allow_weak=True, pinned=request.param)
    except UserError as lacking:
        pytest.skip(str(lacking).splitlines()[0])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    return place


def made(line: str, workspace: Path, timeout_s: float = 60.0, **of_walls: Any) -> Command:
    walls = SandboxSpec(**{"agent": "tests/one", "workspace": workspace, "memory_mb": MEMORY_MB, **of_walls})
    return Command(line=line, cwd=workspace, timeout_s=timeout_s, walls=walls)


def survivors(workspace: Path) -> list[int]:
    """Processes whose folder is the workspace, wherever their parents are."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(workspace):
                found.append(process.pid)
    return found


async def until_none_is_left(workspace: Path) -> None:
    await until(lambda: not survivors(workspace), every_s=0.05)


def not_held(sandbox: LocalSandbox, topic: str) -> bool:
    return any(words.startswith(f"{topic}:") for words in sandbox.not_enforced)


BOMB = """
import os, time
made = 0
for _ in range(200 if HELD else 20):
    for _ in range(4):
        try:
            pid = os.fork()
        except OSError:
            continue
        if not pid:
            time.sleep(600)
        made += 1
print(made, flush=True)
"""


async def test_a_fork_bomb_is_bounded_and_gone_with_its_command(sandbox: LocalSandbox, workspace: Path) -> None:
    held = not not_held(sandbox, "forks")
    (workspace / "bomb.py").write_text(BOMB.replace("HELD", str(held)))
    result = await sandbox.run(made(f"{PYTHON} -S -E bomb.py; sleep 1", workspace))
    if held:
        assert int(result.output.split()[0]) < 512
        assert result.forks_refused > 100
    await until_none_is_left(workspace)


async def test_more_processes_than_allowed_end_the_command_where_only_the_watchdog_looks(
    sandbox: LocalSandbox, workspace: Path
) -> None:
    held = not not_held(sandbox, "forks")
    (workspace / "bomb.py").write_text(BOMB.replace("HELD", "True"))
    line = f"{PYTHON} -S -E bomb.py; sleep {2 if held else 60}"
    result = await sandbox.run(made(line, workspace, memory_mb=16_000))
    assert result.killed_for == (None if held else "processes"), "where the kernel refuses them, the command goes on"
    await until_none_is_left(workspace)


@pytest.mark.parametrize("environment", ["", "env -i "], ids=["marked", "unmarked"])
async def test_daemons_do_not_outlive_their_command(sandbox: LocalSandbox, workspace: Path, environment: str) -> None:
    if not_held(sandbox, "daemons"):
        pytest.skip("daemons are only found when their command is killed, without a namespace or a control group")
    line = f"for i in 1 2 3; do (setsid {environment}sleep 600 >/dev/null 2>&1 &) ; done; echo done"
    result = await sandbox.run(made(line, workspace))
    assert (result.exit_code, result.output) == (0, "done\n")
    await until_none_is_left(workspace)


async def test_a_hog_behind_a_pipe_is_told_as_out_of_memory(
    sandbox: LocalSandbox, resources: Resources, workspace: Path
) -> None:
    line = f"{PYTHON} -S -E -c 'import time; x = bytearray(2 * 1024**3); time.sleep(30)' | cat; echo went on"
    result = await sandbox.run(made(line, workspace))
    assert result.out_of_memory
    assert result.killed_for != "timeout"
    if not not_held(sandbox, "memory"):
        # Version 2 keeps one peak for the life of a group: a second command that reaches the limit shows none.
        assert result.tree_peak_kb is not None or (resources.cages is not None and resources.cages.kind == "v2")
        assert (result.tree_peak_kb or 0) <= MEMORY_MB * 1024
    await until_none_is_left(workspace)


class Silent(Plain):
    """Walls that the kernel kills together with the command: they never report that they stood."""

    def launch(self, command: Command, home: Path, mark: str, preamble: str = "") -> Launch:
        report, written = os.pipe()
        return replace(super().launch(command, home, mark, preamble), fds=(written,), status=report)


async def test_a_hog_whose_walls_are_killed_as_well_is_told_as_out_of_memory(
    resources: Resources, workspace: Path
) -> None:
    if resources.cages is None or "memory" not in resources.cages.limits:
        pytest.skip("only the machine's own limits hold")
    silent = LocalSandbox(Silent(), resources)
    result = await silent.run(made(f"{PYTHON} -S -E -c 'x = bytearray(2 * 1024**3)'; kill -9 $$", workspace))
    assert result.out_of_memory
    with pytest.raises(TransientError, match="could not be put up"):
        await silent.run(made("exit 1", workspace))


async def test_a_neighbour_of_a_hog_is_not_out_of_memory(sandbox: LocalSandbox, workspace: Path) -> None:
    if not_held(sandbox, "memory"):
        pytest.skip("only the machine's own limits hold")
    hog = f"{PYTHON} -S -E -c 'x = bytearray(2 * 1024**3)'"
    mild = f"{PYTHON} -S -E -c 'x = bytearray(100 * 1024**2); print(len(x))'"
    hogging, fine = await asyncio.gather(
        sandbox.run(made(hog, workspace, agent="tests/hog")), sandbox.run(made(mild, workspace, agent="tests/mild"))
    )
    assert (hogging.out_of_memory, fine.out_of_memory, fine.exit_code) == (True, False, 0)


async def test_endless_output_is_cut(sandbox: LocalSandbox, workspace: Path) -> None:
    result = await sandbox.run(made("yes", workspace))
    assert (result.killed_for, result.output_cut, result.exit_code) == ("output_limit", True, None)
    await until_none_is_left(workspace)


async def test_a_file_that_fills_the_quota_ends_its_command(sandbox: LocalSandbox, workspace: Path) -> None:
    """A file cannot be larger than the quota; more of them are seen by the watchdog."""
    line = "i=0; while :; do i=$((i+1)); head -c 20000000 /dev/zero > file$i || exit 9; done"
    (workspace / "old").write_text("kept")
    result = await sandbox.run(made(line, workspace))
    assert (result.killed_for, result.disk_full) == ("disk_quota", False)
    await until_none_is_left(workspace)
    assert result.removed_files > 0
    assert await asyncio.to_thread(used_mb, workspace) <= QUOTA_MB
    assert (workspace / "old").read_text() == "kept"


async def test_one_file_cannot_be_larger_than_the_quota(sandbox: LocalSandbox, workspace: Path) -> None:
    result = await sandbox.run(made("head -c 2000000000 /dev/zero > file; echo ended $?", workspace))
    assert "ended 0" not in result.output
    assert await asyncio.to_thread(used_mb, workspace) <= QUOTA_MB + 1


async def test_who_is_over_the_quota_is_told_and_can_clear_up(sandbox: LocalSandbox, workspace: Path) -> None:
    fill = "for i in 1 2 3 4; do head -c 90000000 /dev/zero > file$i; done; sleep 60"
    assert (await sandbox.run(made(fill, workspace))).killed_for == "disk_quota"
    cleared = await sandbox.run(made("rm file*; echo cleared", workspace))
    assert (cleared.killed_for, cleared.disk_full, cleared.output) == (None, False, "cleared\n")


FILES = """
import os
for folder in range(1000):
    os.mkdir(f"d{folder}")
    for number in range(1000):
        os.close(os.open(f"d{folder}/{number}", os.O_CREAT | os.O_WRONLY))
"""


async def test_a_million_small_files_end_their_command(sandbox: LocalSandbox, workspace: Path) -> None:
    (workspace / "files.py").write_text(FILES)
    result = await sandbox.run(made(f"{PYTHON} -S -E files.py", workspace, timeout_s=110))
    assert (result.killed_for, result.disk_full) == ("disk_quota", False)
    assert result.removed_files > 0
    await asyncio.to_thread(subprocess.run, ["rm", "-rf", str(workspace)], check=True)


async def test_what_a_neighbour_frees_hides_nothing(
    sandbox: LocalSandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if somebody deleted as fast as this one writes, for which a test has no hold on time.
    monkeypatch.setattr(watchdog, "_in_use", lambda _: (1000.0, 1000))
    monkeypatch.setattr(watchdog, "BLIND_S", 0.5)
    result = await sandbox.run(made("head -c 300000000 /dev/zero > file; sleep 100", workspace, timeout_s=110))
    assert (result.killed_for, result.removed_files) == ("disk_quota", 1)
    assert not (await sandbox.run(made("ls", workspace))).disk_full


async def test_a_fresh_workspace_is_held_to_the_quota_whatever_the_last_one_took(
    sandbox: LocalSandbox, workspace: Path, tmp_path: Path
) -> None:
    fill = "for i in 1 2 3 4; do head -c 90000000 /dev/zero > file$i; done; sleep 60"
    assert (await sandbox.run(made(fill, workspace))).killed_for == "disk_quota"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    result = await sandbox.run(made("for i in 1 2; do head -c 110000000 /dev/zero > file$i; done; sleep 20", fresh))
    assert (result.killed_for, result.removed_files) == ("disk_quota", 1)


async def test_who_ignores_the_signal_to_end_is_ended(sandbox: LocalSandbox, workspace: Path) -> None:
    line = "trap '' TERM INT HUP; (trap '' TERM; sleep 600) & while :; do sleep 1; done"
    result = await sandbox.run(made(line, workspace, timeout_s=0.5))
    assert result.killed_for == "timeout"
    await until_none_is_left(workspace)


async def test_who_holds_the_output_open_does_not_hold_the_result(sandbox: LocalSandbox, workspace: Path) -> None:
    result = await sandbox.run(made("(setsid sleep 600 &) ; echo done", workspace))
    assert (result.exit_code, result.output) == (0, "done\n")
    assert result.seconds < 60
    if not not_held(sandbox, "daemons"):
        await until_none_is_left(workspace)


async def test_time_and_processor_of_all_its_processes_are_counted(sandbox: LocalSandbox, workspace: Path) -> None:
    result = await sandbox.run(made("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done' & wait", workspace))
    if result.cpu_s is None:
        pytest.skip("nobody counts it: a namespace hides it, and there is no control group")
    assert result.cpu_s > 0.02


async def test_three_hundred_agents_in_blocking_commands_are_cancelled_and_nothing_is_left(
    sandbox: LocalSandbox, workspace: Path
) -> None:
    """Ten seconds stand in the contract; the figure itself is in benchmarks/commands.py."""
    line = "sleep 600 & (setsid sleep 600 &) ; touch started-$AGENT; wait"
    running = []
    agents = AGENTS if sandbox.level == PINS[0] else AGENTS // 5
    for number in range(agents):
        walls = SandboxSpec(agent=f"tests/{number}", workspace=workspace, memory_mb=MEMORY_MB)
        command = Command(line=line, cwd=workspace, timeout_s=600, walls=walls, env={"AGENT": str(number)})
        running.append(asyncio.ensure_future(sandbox.run(command)))
    while len(os.listdir(workspace)) < agents:  # noqa: PTH208  # names are all we need
        assert not any(task.done() for task in running)
        await asyncio.sleep(0.1)
    for task in running:
        task.cancel()
    await asyncio.wait(running, timeout=60)
    assert all(task.cancelled() for task in running)
    await until_none_is_left(workspace)


def used_mb(folder: Path) -> float:
    out = subprocess.run(["du", "-sm", str(folder)], capture_output=True, text=True, check=False).stdout
    return float(out.split()[0])
