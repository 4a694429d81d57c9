"""Dead orphans of commands do not stay as zombies, and nobody else's child is taken."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headway.sandbox.process import orphans
from headway.sandbox.process.orphans import Orphans
from headway.sandbox.runner import Command
from tests.support.sandboxes import PlainSandbox

MakeCommand = Callable[..., Command]

WITHOUT_A_REAPER = """
import asyncio, ctypes, sys
from pathlib import Path
from headway.sandbox.process import orphans
from headway.sandbox.cgroup.groups import Groups
from tests.support.sandboxes import PlainSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec

async def main():
    resources = Resources(Groups.detect())
    sandbox, place = PlainSandbox(resources), Path(sys.argv[1])
    walls = SandboxSpec(agent="run/one", workspace=place)
    line = "for i in $(seq 40); do (sleep 0.01 &) ; done; (setsid sleep 600 &) ; sleep 0.3"
    await sandbox.run(Command(line=line, cwd=place, timeout_s=30, walls=walls))
    await asyncio.sleep(0.2)
    orphans.ORPHANS.bury(now=True)
    print(resources.cages.of("run/one").read().pids, flush=True)
    resources.close()

asyncio.run(main())
"""


def test_orphans_of_a_command_are_not_left_to_a_first_process_that_waits_for_nobody(tmp_path: Path) -> None:
    """The worker process itself takes them in, so that what is above it does not matter."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_REAPER, str(tmp_path)], capture_output=True, text=True, check=False
    )
    if "'NoneType'" in ended.stderr:
        pytest.skip("no control group counts them here")
    assert int(ended.stdout) <= 1, ended.stderr  # the one in a session of its own takes a little longer


async def test_the_orphans_of_commands_become_ours_and_are_buried(sandbox: PlainSandbox, command: MakeCommand) -> None:
    if not orphans.ORPHANS.adopt():
        pytest.skip("this system does not hand orphans over")
    others = zombies()  # of processes that other tests killed: theirs come to us too, and are nobody's commands
    await sandbox.run(command("for i in 1 2 3 4 5; do (sleep 600 &) ; done"))
    until = time.monotonic() + 10
    while (ours := set(zombies()) - set(others)) and time.monotonic() < until:
        orphans.ORPHANS.bury(now=True)
        await asyncio.sleep(0.01)
    assert not ours


def zombies() -> list[int]:
    mine = psutil.Process().children()
    return [child.pid for child in mine if child.is_running() and child.status() == psutil.STATUS_ZOMBIE]


def test_a_child_that_somebody_still_waits_for_is_left_alone() -> None:
    ours = Orphans()
    assert ours.adopt()
    with subprocess.Popen(["sh", "-c", "exit 7"], start_new_session=True) as child:
        while child.pid not in zombies():
            time.sleep(0.005)
        assert ours.bury(now=True) == []
        assert child.wait() == 7
