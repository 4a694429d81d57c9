"""What a command may count on, and what it cannot do to us, with real processes."""

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

from headway.domain.errors import ToolError
from headway.sandbox.launcher import dies_with_us
from headway.sandbox.plain import OUTPUT_CAP_BYTES, PlainSandbox
from headway.sandbox.runner import Command, Sandbox

MakeCommand = Callable[..., Command]
PATIENCE_S = 10.0


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.005)
    return not alive(pid)


def pid_in(file: Path) -> int:
    """The process id that a command writes there, once it has."""
    until = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.read_text().endswith("\n")) and time.monotonic() < until:
        time.sleep(0.005)
    return int(file.read_text())


def test_it_is_a_sandbox_that_says_what_it_does_not_enforce(sandbox: PlainSandbox) -> None:
    as_protocol: Sandbox = sandbox
    assert as_protocol.level == "plain"
    assert {entry.partition(":")[0] for entry in as_protocol.not_enforced} == {
        "filesystem",
        "network",
        "memory",
        "processes",
        "daemons",
    }


@pytest.mark.parametrize(
    ("line", "exit_code"),
    [("true", 0), ("exit 7", 7), ("no-such-command-here", 127), ("kill -TERM $$", 143), ("(exit 3) | true", 0)],
)
async def test_exit_codes_are_those_of_a_shell(
    sandbox: PlainSandbox, command: MakeCommand, line: str, exit_code: int
) -> None:
    result = await sandbox.run(command(line))
    assert result.exit_code == exit_code
    assert (result.killed_for, result.timed_out) == (None, False)


async def test_output_and_errors_come_as_one_text_in_order(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("echo one; echo two >&2; printf three"))
    assert result.output == "one\ntwo\nthree"
    assert result.output_bytes == len("one\ntwo\nthree")
    assert not result.output_cut


async def test_a_command_runs_where_it_is_told_and_reads_nothing(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    result = await sandbox.run(command("pwd -P; cat; echo end"))
    assert result.output == f"{tmp_path}\nend\n"


async def test_what_it_used_is_measured(sandbox: PlainSandbox, command: MakeCommand) -> None:
    line = f"{sys.executable} -S -E -c 'x = bytearray(300_000_000)\nfor i in range(2_000_000): pass'"
    result = await sandbox.run(command(line))
    assert result.cpu_s is not None
    assert 0.02 < result.cpu_s <= result.seconds * 2
    assert result.peak_kb is not None
    assert result.peak_kb > 290_000


async def test_a_small_command_is_not_charged_with_our_own_memory(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("true"))
    assert result.peak_kb is None or result.peak_kb < 20_000


async def test_a_timeout_kills_the_whole_group_and_keeps_what_was_said(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    result = await sandbox.run(command("echo started; sleep 600 & echo $! > pid; wait", timeout_s=0.3))
    assert result.output == "started\n"
    assert result.timed_out
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
    assert result.timed_out
    assert gone(pid, 1)


async def test_a_background_process_that_holds_the_output_does_not_hold_the_result(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    started = time.monotonic()
    result = await sandbox.run(command("sleep 600 & echo $! > pid; echo done"))
    assert time.monotonic() - started < 5
    assert (result.exit_code, result.output, result.timed_out) == (0, "done\n", False)
    assert gone(int((tmp_path / "pid").read_text()), 1)


async def test_what_a_background_process_still_says_within_the_grace_is_heard(
    sandbox: PlainSandbox, command: MakeCommand
) -> None:
    result = await sandbox.run(command("(sleep 0.2; echo late) & echo early"))
    assert result.output == "early\nlate\n"


async def test_a_flood_is_cut_and_killed_at_the_cap(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("head -c 100000000 /dev/zero | tr '\\0' 'x'; echo end"))
    assert result.killed_for == "output_limit"
    assert result.exit_code is None
    assert not result.timed_out
    assert OUTPUT_CAP_BYTES < result.output_bytes < OUTPUT_CAP_BYTES + 1_000_000
    assert result.output_cut
    assert len(result.output) < 40_000


async def test_long_output_keeps_head_and_tail_and_the_file_has_it_whole(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    full = tmp_path / "kept" / "output"
    result = await sandbox.run(command("seq 1 100000"), full_output=full)
    assert result.output.startswith("1\n2\n3\n")
    assert result.output.endswith("99999\n100000\n")
    assert "left out" in result.output
    assert result.output_cut
    assert len(result.output) < 33_000
    assert full.read_text().splitlines() == [str(number) for number in range(1, 100_001)]
    assert result.output_bytes == full.stat().st_size


async def test_the_file_ends_at_8_mb(sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path) -> None:
    await sandbox.run(command("head -c 10000000 /dev/zero"), full_output=tmp_path / "full")
    assert (tmp_path / "full").stat().st_size == 8 * 1024 * 1024


async def test_binary_output_becomes_text(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command(r"printf 'a\000b\377c\n\303\251\n'; head -c 5000 /dev/urandom; printf '\nend'"))
    assert result.output.startswith("ab\ufffdc\né\n")
    assert result.output.endswith("\nend")
    result.output.encode()


async def test_progress_and_colours_vanish(sandbox: PlainSandbox, command: MakeCommand) -> None:
    line = r"""for i in 1 2 3; do printf '\r%d%%' $i; done; printf '\r100%%\r\n'; printf '\033[31mred\033[0m\n'"""
    assert (await sandbox.run(command(line))).output == "100%\nred\n"


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


async def test_no_secret_of_ours_is_in_the_environment(
    sandbox: PlainSandbox, command: MakeCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "https_proxy",
        "SOMETHING",
    ]
    for name in secrets:
        monkeypatch.setenv(name, "very-secret-0815")
    result = await sandbox.run(command("env; tr '\\0' '\\n' < /proc/self/environ"))
    assert "very-secret-0815" not in result.output
    assert not any(name in result.output for name in secrets)


async def test_the_environment_is_small_and_told(sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path) -> None:
    result = await sandbox.run(command("env", env={"CARGO_TARGET_DIR": "t", "CI": "0"}))
    seen = dict(line.split("=", 1) for line in result.output.splitlines())
    assert seen["PATH"] == os.environ["PATH"]
    assert seen["HOME"] == str(tmp_path / ".headway" / "home")
    assert (seen["TERM"], seen["PAGER"], seen["GIT_TERMINAL_PROMPT"], seen["GIT_EDITOR"]) == (
        "dumb",
        "cat",
        "0",
        "true",
    )
    assert (seen["CARGO_TARGET_DIR"], seen["CI"]) == ("t", "0")
    assert (await sandbox.run(command("test -d ~"))).exit_code == 0


async def test_home_is_where_it_is_said_to_be(sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path) -> None:
    result = await sandbox.run(command("cd && pwd -P", home=tmp_path / "a" / "home"))
    assert result.output == f"{(tmp_path / 'a' / 'home').resolve()}\n"


async def test_resources_are_bounded(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("ulimit -c; ulimit -n; ulimit -Hn; ulimit -f; nice"))
    core, soft, hard, blocks, nice = map(int, result.output.split())
    assert core == 0
    assert soft == hard <= 4096
    assert blocks == 2 * 1024 * 1024
    assert nice >= 5


@pytest.mark.parametrize(
    "line", [pytest.param("echo a\0b", id="NUL"), pytest.param("echo " + "x" * 200_000, id="too long for the system")]
)
async def test_a_line_that_no_shell_takes_is_told_to_the_model(
    sandbox: PlainSandbox, command: MakeCommand, line: str
) -> None:
    with pytest.raises(ToolError):
        await sandbox.run(command(line))


async def test_a_folder_that_is_not_there_is_told_to_the_model(
    sandbox: PlainSandbox, command: MakeCommand, tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match="not a folder"):
        await sandbox.run(command("true", cwd=tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


async def test_many_commands_at_once_leave_no_descriptors_open(sandbox: PlainSandbox, command: MakeCommand) -> None:
    await sandbox.run(command("true"))
    before = psutil.Process().num_fds()
    results = await asyncio.gather(*(sandbox.run(command(f"echo {number}")) for number in range(50)))
    assert [result.output for result in results] == [f"{number}\n" for number in range(50)]
    assert psutil.Process().num_fds() == before


HOST = """
import asyncio, sys
from pathlib import Path
from headway.sandbox.plain import PlainSandbox
from headway.sandbox.runner import Command
asyncio.run(PlainSandbox().run(Command(line=sys.argv[1], cwd=Path(sys.argv[2]), timeout_s=600)))
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


@pytest.mark.skipif(not dies_with_us(), reason="no setpriv here that sets a death signal")
def test_the_command_itself_dies_also_when_the_keeper_was_killed_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOST, LEADER, str(tmp_path)]) as host:
        pid = pid_in(tmp_path / "pid")
        for child in psutil.Process(host.pid).children():
            if child.pid != pid:
                child.kill()
        host.kill()
    assert gone(pid, 3)


async def test_a_killed_keeper_is_replaced(sandbox: PlainSandbox, command: MakeCommand) -> None:
    await sandbox.run(command("true"))
    keepers = [child for child in psutil.Process().children() if "headway-keeper" in child.cmdline()]
    for keeper in keepers:
        keeper.kill()
        keeper.wait()
    assert keepers
    assert (await sandbox.run(command("echo fine"))).output == "fine\n"
