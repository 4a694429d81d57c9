"""The wall clock of our processes steps while a run works: by seconds, hours and a year, both ways.

Every worker process runs with a preloaded library that moves its wall clock and nothing else. (libfaketime 0.9.10 moves
sleeps too: with Python 3.11 an absolute sleep by the monotonic clock then fails with EINVAL, and waits for locks hang.)
The Temporal server needs no C library, so that it keeps its own clock.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.test_whole_run import finished
from tests.support.playbooks import flat
from tests.support.site import Machine, machine
from tests.support.stepping import STEPS, order, prove_done

SHIM = Path(__file__).with_name("wall_clock.c")


class Clock:
    """The wall clock of every process that has `environment`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "offset"
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._file)}

    def step(self, offset_s: int) -> None:
        with self._file.open("r+b") as file:
            file.write(offset_s.to_bytes(8, sys.byteorder, signed=True))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("no C compiler to make the library that moves the clock (package gcc)")
    library = tmp_path / "wall_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM)], check=True)
    return Clock(tmp_path, library)


async def _stepped(clock: Clock, every_s: float, made: list[int]) -> None:
    while True:
        for offset in STEPS:
            clock.step(offset)
            made.append(offset)
            await asyncio.sleep(every_s)


async def _run(site: Machine, clock: Clock, tasks: int, every_s: float) -> float:
    """How long a run took on this site whose clock steps all the time."""
    made: list[int] = []
    stepping, began = asyncio.create_task(_stepped(clock, every_s, made)), time.monotonic()
    run = await site.start("clock", **order(tasks, hours=1.0))
    report = await finished(site, "clock", run, 150)
    took = time.monotonic() - began
    stepping.cancel()
    assert set(made) == set(STEPS), "the run was over before all steps were made"
    prove_done(site, "clock", tasks, report)
    return took


@pytest.mark.parametrize(("tasks", "every_s"), [(3, 0.6), pytest.param(12, 1.5, marks=pytest.mark.long)])
async def test_a_run_goes_on_through_every_step(
    tasks: int, every_s: float, clock: Clock, home: Path, small_repository: Path
) -> None:
    playbook = flat("clock", tasks, latency_ms=400)
    async with machine(home, small_repository, playbook, agents=3, env=clock.environment) as site:
        pids = [site.supervisor.pid(role) for role in ("workflows", "planning", "agents")]
        assert await _run(site, clock, tasks, every_s) < 120
        assert [site.supervisor.pid(role) for role in ("workflows", "planning", "agents")] == pids, "none was killed"


def test_the_steps_are_real(clock: Clock) -> None:
    """A process of ours sees each of them, and its boot clock none: else this net could not fail."""
    program = "import time; print(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())"
    for offset in STEPS:
        clock.step(offset)
        env = {**os.environ, **clock.environment}
        said = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        wall, boot, monotonic = map(float, said.stdout.split())
        assert wall - time.time() == pytest.approx(offset, abs=5)
        assert boot == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
        assert monotonic == pytest.approx(time.monotonic(), abs=5)
