"""What a command may count on, and what it cannot do to us, with real processes."""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import ToolError
from headway.sandbox.local import OUTPUT_CAP_BYTES
from headway.sandbox.runner import Command, Sandbox
from tests.support.sandboxes import PlainSandbox

MakeCommand = Callable[..., Command]


def test_it_is_a_sandbox_that_says_what_it_does_not_enforce(sandbox: PlainSandbox) -> None:
    as_protocol: Sandbox = sandbox
    assert as_protocol.level == "plain"
    assert {entry.partition(":")[0] for entry in as_protocol.not_enforced} == {
        "filesystem",
        "network",
        "memory",
        "forks",
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
    assert result.killed_for is None


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
    # More than this process ever used: what a child used is only known above what it inherits.
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 200_000) * 1024
    line = f"{sys.executable} -S -E -c 'x = bytearray({used})\nfor i in range(2_000_000): pass'"
    result = await sandbox.run(command(line))
    assert result.cpu_s is not None
    assert 0.02 < result.cpu_s <= result.seconds * 2
    assert result.peak_kb is not None
    assert result.peak_kb > used / 1024 - 10_000


async def test_a_small_command_is_not_charged_with_our_own_memory(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("true"))
    assert result.peak_kb is None or result.peak_kb < 20_000


async def test_a_flood_is_cut_and_killed_at_the_cap(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command("head -c 100000000 /dev/zero | tr '\\0' 'x'; echo end"))
    assert result.killed_for == "output_limit"
    assert result.exit_code is None
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


async def test_a_file_that_cannot_be_written_costs_only_the_file(sandbox: PlainSandbox, command: MakeCommand) -> None:
    for place in ("/dev/full", "/dev/null/below"):
        assert (await sandbox.run(command("echo heard"), full_output=Path(place))).output == "heard\n"


async def test_a_home_that_cannot_be_made_is_told_to_the_model(sandbox: PlainSandbox, command: MakeCommand) -> None:
    await sandbox.run(command("rm -r .headway; touch .headway"))
    with pytest.raises(ToolError, match="HOME"):
        await sandbox.run(command("true"))


async def test_binary_output_becomes_text(sandbox: PlainSandbox, command: MakeCommand) -> None:
    result = await sandbox.run(command(r"printf 'a\000b\377c\n\303\251\n'; head -c 5000 /dev/urandom; printf '\nend'"))
    assert result.output.startswith("ab\ufffdc\né\n")
    assert result.output.endswith("\nend")
    result.output.encode()


async def test_progress_and_colours_vanish(sandbox: PlainSandbox, command: MakeCommand) -> None:
    line = r"""for i in 1 2 3; do printf '\r%d%%' $i; done; printf '\r100%%\r\n'; printf '\033[31mred\033[0m\n'"""
    assert (await sandbox.run(command(line))).output == "100%\nred\n"


async def test_no_secret_of_ours_is_in_the_environment(
    sandbox: PlainSandbox, command: MakeCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [
        "OPENAI_API_KEY",
        "HEADWAY_ENDPOINT_BOX_KEY",
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
    # The niceness is given just after the start, so the command waits for it. Without it, it would reach its timeout.
    until_nice = "until [ $(nice) -ge 5 ]; do sleep 0.01; done"
    result = await sandbox.run(command(f"ulimit -c; ulimit -n; ulimit -Hn; ulimit -f; {until_nice}; nice"))
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
