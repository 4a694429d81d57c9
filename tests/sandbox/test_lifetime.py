"""No command outlives its time, its caller or its process, whatever it starts."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headway.sandbox.process.launcher import _death_signal
from headway.sandbox.runner import Command
from tests.support.processes import alive, gone
from tests.support.sandboxes import PlainSandbox
from tests.support.waiting import wait_until

MakeCommand = Callable[..., Command]


def pid_in(file: Path) -> int:
    """The process id that a command writes there, once it has."""
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


async def test_a_timeout_kills_the_whole_group_and_keeps_what_was_said(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    result = await sandbox.run(command("echo started; sleep 600 & echo $! > pid; wait", timeout_s=0.3))
    assert result.output == "started\n"
    assert result.killed_for == "timeout"
    assert result.killed_for == "timeout"
    assert result.exit_code is None
    assert 0.3 <= result.seconds < 2
    assert gone(int((tmp_path / "pid").read_text()), 1)


@pytest.mark.parametrize(
    "detach",
    [
        pytest.param("setsid sh -c 'echo $$ > pid; exec sleep 600' & wait", id="another session"),
        pytest.param("(setsid sh -c 'echo $$ > pid; exec sleep 600' &) ; sleep 600", id="forked twice"),
        pytest.param("setsid env -i sh -c 'echo $$ > pid; exec sleep 600' & wait", id="no environment"),
    ],
)
async def test_a_timeout_also_kills_what_left_the_group(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path, detach: str
) -> None:
    running = asyncio.create_task(sandbox.run(command(detach, timeout_s=1.0)))
    pid = await asyncio.to_thread(pid_in, tmp_path / "pid")
    result = await running
    assert result.killed_for == "timeout"
    assert gone(pid, 1)


async def test_a_background_process_that_holds_the_output_does_not_hold_the_result(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    started = time.monotonic()
    result = await sandbox.run(command("sleep 600 & echo $! > pid; echo done"))
    assert time.monotonic() - started < 5
    assert (result.exit_code, result.output, result.killed_for) == (0, "done\n", None)
    assert gone(int((tmp_path / "pid").read_text()), 1)


async def test_what_a_background_process_still_says_within_the_grace_is_heard(
    sandbox: PlainSandbox, command: MakeCommand
) -> None:
    result = await sandbox.run(command("(sleep 0.2; echo late) & echo early"))
    assert result.output == "early\nlate\n"


async def test_cancelling_kills_within_a_second_and_goes_on_up(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    line = "setsid sh -c 'echo $$ > pid; exec sleep 600' & sleep 600 & echo $! > sibling; wait"
    running = asyncio.create_task(sandbox.run(command(line)))
    pids = [await asyncio.to_thread(pid_in, tmp_path / "pid"), await asyncio.to_thread(pid_in, tmp_path / "sibling")]
    before = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(gone(pid, 1) for pid in pids)
    assert time.monotonic() - before < 1


async def test_cancelling_twice_leaves_nothing_behind(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    running = asyncio.create_task(sandbox.run(command("sleep 600 & echo $! > pid; wait")))
    pid = await asyncio.to_thread(pid_in, tmp_path / "pid")
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(pid, 1)


async def test_many_commands_at_once_leave_no_descriptors_open(sandbox: PlainSandbox, command: MakeCommand) -> None:
    await sandbox.run(command("true"))
    before = psutil.Process().num_fds()
    results = await asyncio.gather(*(sandbox.run(command(f"echo {number}")) for number in range(50)))
    assert [result.output for result in results] == [f"{number}\n" for number in range(50)]
    assert psutil.Process().num_fds() <= before


HOST = """
import asyncio, sys
from pathlib import Path
from headway.sandbox.local import LocalSandbox
from headway.sandbox.backends.plain import Plain
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
cwd = Path(sys.argv[2])
walls = SandboxSpec(agent="tests/agent", workspace=cwd)
asyncio.run(LocalSandbox(Plain()).run(Command(line=sys.argv[1], cwd=cwd, timeout_s=600, walls=walls)))
"""

LEADER = "echo $$ > pid; exec sleep 600"
CHILD = "sleep 600 & echo $! > pid; wait"
DAEMON = "(setsid sh -c 'echo $$ > pid; exec sleep 600' &); sleep 600"


@pytest.mark.parametrize("line", [LEADER, CHILD, DAEMON], ids=["leader", "child", "daemon"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_commands_die_with_the_process_that_runs_them(tmp_path: Path, line: str, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, line, str(tmp_path)]) as host:
        try:
            pid = pid_in(tmp_path / "pid")
            assert alive(pid)
        finally:
            host.send_signal(number)
    assert gone(pid, 3)


@pytest.mark.parametrize("line", [LEADER, CHILD], ids=["leader", "child"])
def test_commands_die_with_their_process_also_without_a_death_signal(tmp_path: Path, line: str) -> None:
    host = f"from headway.sandbox.process import launcher\nlauncher._death_signal = lambda: ()\n{HOST}"
    with subprocess.Popen([sys.executable, "-c", host, line, str(tmp_path)]) as process:
        pid = pid_in(tmp_path / "pid")
        process.kill()
    assert gone(pid, 3)


async def test_a_system_without_process_descriptors_gets_the_same_results(
    sandbox: PlainSandbox, command: MakeCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert (await sandbox.run(command("echo fine; exit 3"))).exit_code == 3
    result = await sandbox.run(command("sleep 600 & echo $! > pid; wait", timeout_s=0.3))
    assert result.killed_for == "timeout"
    assert gone(int((tmp_path / "pid").read_text()), 1)


@pytest.mark.skipif(not _death_signal(), reason="no setpriv here that sets a death signal")
def test_the_command_itself_dies_also_when_the_keeper_was_killed_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, LEADER, str(tmp_path)]) as host:
        pid = pid_in(tmp_path / "pid")
        for child in psutil.Process(host.pid).children():
            if child.pid != pid:
                child.kill()
        host.kill()
    assert gone(pid, 3)


def kill_keeper() -> None:
    children = psutil.Process().children()  # orphans of earlier commands may be among them, dead
    keepers = [child for child in children if alive(child.pid) and "headway-keeper" in child.cmdline()]
    for keeper in keepers:
        keeper.kill()
    psutil.wait_procs(keepers)
    assert keepers


async def test_a_killed_keeper_is_replaced(sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path) -> None:
    await sandbox.run(command("true"))
    kill_keeper()
    running = asyncio.create_task(sandbox.run(command("mkfifo go; echo $$ > pid; read < go")))
    await asyncio.to_thread(pid_in, tmp_path / "pid")
    kill_keeper()
    await asyncio.to_thread((tmp_path / "go").write_text, "on\n")
    await running
    for number in range(2):
        assert (await sandbox.run(command(f"echo {number}"))).output == f"{number}\n"
