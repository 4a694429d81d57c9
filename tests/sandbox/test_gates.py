"""Heavy commands pass a few at a time over all processes, and every command waits while the machine is short."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import Shortage
from headway.sandbox.admission.admission import Admission
from headway.sandbox.admission.command_cost import LONG_CPU_S, LongRunners, is_heavy
from headway.sandbox.admission.machine import Machine
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command
from headway.system.disk import Disk
from tests.support.sandboxes import PlainSandbox

MakeCommand = Callable[..., Command]

EASY = Machine(pressure=0.0, memory=0.9, disk=Disk(0.9, 10**12))
NO_MEMORY = Machine(pressure=45.0, memory=0.9, disk=Disk(0.9, 10**12))
NO_DISK = Machine(pressure=0.0, memory=0.9, disk=Disk(0.02, 10**9))
NO_INODES = Machine(pressure=0.0, memory=0.9, disk=Disk(0.9, 10**12, inode_share=0.01, inodes=900))


def gates(
    folder: Path, machine: list[Machine] | None = None, slots: int = 1, longest_wait_s: float = 30.0
) -> Admission:
    standing = machine or [EASY]
    return Admission(folder, slots, look=lambda _: standing[0], longest_wait_s=longest_wait_s)


@pytest.mark.parametrize(
    "line",
    [
        "make -j8",
        "cd src && make",
        "CC=clang time make all",
        "cargo build --release",
        "cargo +nightly test",
        "python3 -m pytest -q",
        "./gradlew build",
        "timeout 60 npm run build",
        "npm ci",
        "(go test ./...)",
        "git pull; pip install -e .",
        "echo 'unclosed && make",
    ],
)
def test_builds_and_tests_are_heavy(line: str) -> None:
    assert is_heavy(line)


@pytest.mark.parametrize(
    "line",
    ["ls -la", "git status", "cat Makefile", "cargo --version", "python3 x.py", "grep -r make .", "go version", ""],
)
def test_everyday_commands_are_not(line: str) -> None:
    assert not is_heavy(line)


def test_what_used_much_processor_time_is_heavy_the_next_time_until_it_no_longer_does() -> None:
    known = LongRunners()
    known.note("./run-all.sh --fast", LONG_CPU_S + 1)
    assert known.knows("./run-all.sh --fast")
    known.note("./run-all.sh --fast", 0.1)
    assert not known.knows("./run-all.sh --fast")


async def test_two_heavy_commands_of_one_process_pass_one_after_the_other_in_order(tmp_path: Path) -> None:
    one, order = gates(tmp_path), []

    async def run(name: str) -> None:
        async with one.passed("make") as waited:
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)
            assert waited.why == (() if name == "first" else ("slot",))

    await asyncio.gather(run("first"), run("second"), run("third"))
    assert order == ["first", "first", "second", "second", "third", "third"]


async def test_light_commands_pass_beside_heavy_ones(tmp_path: Path) -> None:
    one = gates(tmp_path)
    async with one.passed("make"), one.passed("ls") as waited:
        assert waited.seconds == 0


HOLDER = """
import asyncio, sys
from pathlib import Path
from headway.sandbox.admission.admission import Admission

async def main():
    async with Admission(Path(sys.argv[1]), 1).passed("make"):
        print("holds", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


async def test_a_slot_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220  # it ends at once
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"holds\n"
        here = gates(tmp_path)
        entering = asyncio.ensure_future(enter(here))
        done, _ = await asyncio.wait({entering}, timeout=0.5)
        assert not done
        assert "1 of 1 heavy commands run" in here.findings()[0].says
        holder.kill()
        assert await asyncio.wait_for(entering, 20) == ("slot",)


async def enter(one: Admission) -> tuple[str, ...]:
    async with one.passed("make") as waited:
        return waited.why


async def test_who_waits_is_cancelled_at_once_and_holds_nothing(tmp_path: Path) -> None:
    one = gates(tmp_path)
    async with one.passed("make"):
        waiting = asyncio.ensure_future(enter(one))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await enter(one) == ()


async def test_a_command_waits_for_memory_and_says_so_and_its_timeout_does_not_run_meanwhile(
    tmp_path: Path, command: MakeCommand
) -> None:
    machine = [NO_MEMORY]
    sandbox = PlainSandbox(Resources(None, gates(tmp_path / "gates", machine)))
    running = asyncio.ensure_future(sandbox.run(command("echo ran", timeout_s=1.0)))
    began = time.monotonic()
    await asyncio.wait({running}, timeout=1.2)
    assert not running.done()
    machine[0] = EASY
    result = await running
    assert (result.exit_code, result.killed_for, result.waited_for) == (0, None, ("memory",))
    assert 1.0 < result.waited_s <= time.monotonic() - began
    assert result.seconds < result.waited_s


async def test_who_waited_too_long_for_memory_runs_in_its_cage(tmp_path: Path) -> None:
    async with gates(tmp_path, [NO_MEMORY], longest_wait_s=0.05).passed("ls") as waited:
        assert waited.why == ("memory",)


@pytest.mark.parametrize(
    ("machine", "said"), [(NO_DISK, r"1\.0 GB free"), (NO_INODES, r"900 inodes free \(99% used\)")]
)
async def test_a_command_that_waited_long_for_disk_waits_on_outside_of_the_process(
    tmp_path: Path, machine: Machine, said: str
) -> None:
    with pytest.raises(Shortage, match=said) as raised:
        async with gates(tmp_path, [machine], longest_wait_s=0.05).passed("ls"):
            raise AssertionError
    assert raised.value.delay_s


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    machine = Machine.look(tmp_path)
    assert 0 < machine.memory <= 1
    assert 0 <= machine.disk.share <= 1
    assert machine.pressure is None or machine.pressure >= 0
    assert gates(tmp_path / "not" / "there").findings()[0].topic == "machine"
