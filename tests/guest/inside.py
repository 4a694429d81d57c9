"""The guest's program: `headway up` and a run, while the clock of the whole machine steps.

Temporal's server steps too. A step back makes its timers late by as much, so that each round of steps ends ahead.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from headway.cli.service_settings import find_settings
from headway.rehearsal.host import Rehearsal
from headway.system.steady import steady
from tests.end_to_end.playbooks import flat
from tests.end_to_end.repositories import make_repository
from tests.end_to_end.site import Ground
from tests.end_to_end.stepping import STEPS, order, prove_done

TASKS, AGENTS = 3, 2
EVERY_S = 6.0
READY_S, ENDED_S = 900.0, 1_800.0
PORT, UI_PORT = 7_233, 8_233
PLACE = Path("/root/place")
RUN = "stepping"


PATIENT = f"""
from functools import partial
from headway.cli import app, local_site, service, supervisor
service.HEALTHY_WITHIN_S = local_site.WORKERS_WITHIN_S = {READY_S}
slow = supervisor.Timing(silent_s={READY_S}, quiet_s={READY_S})
supervisor.Supervisor = partial(supervisor.Supervisor, timing=slow)
app.main()
"""
"""`headway` with patience for an emulated processor, which needs minutes to start the service and worker processes."""


def tell(what: str) -> None:
    """One line for who watches, with the seconds since boot."""
    print(f"[{steady():7.1f}] {what}", flush=True)


class Clock:
    """The wall clock of this machine; the true time goes on with the boot clock."""

    def __init__(self) -> None:
        self._ahead = time.time() - steady()

    def step(self, offset_s: int) -> None:
        """Set it with `date`, as an administrator would."""
        wanted = self._ahead + steady() + offset_s
        said = subprocess.run(["date", "-s", f"@{wanted:.3f}"], capture_output=True, text=True, check=True).stdout
        assert abs(time.time() - (self._ahead + steady() + offset_s)) < 2, "the step is real"
        tell(f"the clock stands {offset_s:+} s from the true time: {said.strip()}")

    async def steps(self) -> None:
        """All steps, round after round."""
        while True:
            for offset in STEPS:
                self.step(offset)
                await asyncio.sleep(EVERY_S)


@asynccontextmanager
async def up(rehearsal: Rehearsal) -> AsyncIterator[psutil.Popen]:
    """`headway up`, as its user starts it."""
    settings = yaml.safe_load(find_settings().read_text())
    settings["server"]["port"], settings["server"]["ui_port"] = PORT, UI_PORT
    (PLACE / "mine.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-c", PATIENT, "up", "--agents", str(AGENTS)]
    command += ["--config", str(PLACE / "mine.yaml"), "--allow-weak-sandbox"]
    env = os.environ | {
        "HEADWAY_HOME": str(PLACE / "home"),
        "OPENAI_BASE_URL": rehearsal.url,
        "HEADWAY_PLANNER_MODEL": "rehearsal",
        "HEADWAY_WORKER_MODEL": "rehearsal",
    }
    log = PLACE / "up.log"
    with log.open("wb") as out:
        process = psutil.Popen(command, env=env, stdout=out, stderr=out)
    try:
        yield process
    except BaseException:
        print(log.read_text(errors="replace")[-4_000:], flush=True)
        for each in sorted((PLACE / "home").rglob("*.log")):
            print(each, each.read_text(errors="replace")[-2_000:], flush=True)
        raise
    finally:
        for member in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()


async def ready(process: psutil.Popen) -> Client:
    """A client, once `headway up` says that everything works."""
    until = time.monotonic() + READY_S
    while "Ready." not in (PLACE / "up.log").read_text(errors="replace"):
        assert process.poll() is None, "headway up ended"
        assert time.monotonic() < until, "headway up is not ready"
        await asyncio.sleep(0.5)
    return await Client.connect(f"127.0.0.1:{PORT}", data_converter=pydantic_data_converter)


async def end_of(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The report of the run. A call fails where a step lets its deadline pass, and is made again."""
    async with asyncio.timeout(ENDED_S):
        while True:
            try:
                report: dict[str, Any] = await handle.result()
            except RPCError as error:
                tell(f"the client's call failed and is made again: {error}")
                await asyncio.sleep(1.0)
            else:
                return report


def workers(process: psutil.Process) -> set[tuple[int, str]]:
    """The processes that `headway up` started."""
    return {(child.pid, child.name()) for child in process.children()}


async def main() -> None:
    """Everything up, one run through all steps, and what must be so then."""
    repository = make_repository(PLACE / "repository", 20)
    clock = Clock()
    tell("the guest's program is loaded")
    with Rehearsal(flat("clock", TASKS, latency_ms=400)) as rehearsal:
        async with up(rehearsal) as process:
            client = await ready(process)
            tell("headway up is ready")
            site, began = Ground(PLACE / "home", client, rehearsal, repository), workers(process)
            handle = await site.start(RUN, **order(TASKS, hours=None))
            await site.until_requests(1)
            stepping = asyncio.create_task(clock.steps())
            report = await end_of(handle)
            stepping.cancel()
            tell(f"the run ended as {report['outcome']}, {report['commits']} commits, {rehearsal.requests} model calls")
            prove_done(site, RUN, TASKS, report)
            assert workers(process) == began, "a process was replaced"
            tell("nothing was replaced, nothing happened twice")


if __name__ == "__main__":
    asyncio.run(main())
