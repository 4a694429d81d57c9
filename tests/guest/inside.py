"""The guest's program: `headway up` and a run, while the clock of the whole machine steps.

Temporal's server steps too. It sets no timer earlier than the latest moment that its clock has shown, so after a step
back its timers are late by as much. So the clock is first set back and right again, by each size, and ahead at the end.
A step is made while a command of an agent runs, so that it meets work however slow the machine is.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import yaml
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from headway.agents.tools.catalogue import RESULTS
from headway.domain.ids import RunName
from headway.eventlog.events.conversation import Reminder, ToolResult
from headway.eventlog.events.envelope import bodies
from headway.eventlog.local_store import LocalStore
from headway.host.service_settings import find_settings
from headway.rehearsal.fault import Fault
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from tests.guest.console import Step, say
from tests.support.playbooks import asked, done, step, use
from tests.support.repositories import make_repository
from tests.support.site import Ground
from tests.support.stepping import HOUR, SECONDS, YEAR, order, prove_done

TASKS, AGENTS, COMMANDS, COMMAND_S = 3, 2, 5, 4
STEPS = (
    *((-SECONDS, "command"), (0, "refusal"), (-HOUR, "refusal"), (0, "command"), (-YEAR, "refusal"), (0, "command")),
    *((SECONDS, "refusal"), (HOUR, "command"), (YEAR, "command")),
)
"""Seconds from the true time, one after the other, and what a step waits for: a command runs, or a call was refused and
is to be made again in `REFUSED_S`."""
REFUSED_S = 4.0
QUIET_S = 30.0
"""So long a step waits for that: a timer of the service may stand in its way."""
READY_S, STUCK_S = 900.0, 240.0
PORT, UI_PORT = 7_233, 8_233
PLACE = Path("/root/place")
RUN = "stepping"


class Stuck(Exception):
    """The model was not asked for long, and the run has not ended."""


class Clock:
    """The wall clock of this machine; the true time goes on with the boot clock, whatever the product reads."""

    def __init__(self) -> None:
        self._ahead = time.time() - self._boot()

    @staticmethod
    def _boot() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def step(self, offset_s: int) -> None:
        """Set it with `date`, as an administrator would."""
        before, true = time.time(), self._ahead + self._boot()
        subprocess.run(["date", "-s", f"@{true + offset_s:.3f}"], capture_output=True, check=True)
        say(Step(offset_s, before, time.time(), true, self._ahead + self._boot()))

    async def steps(self, rehearsal: Rehearsal) -> None:
        """All steps, one at each command; then wait.

        Raises:
            Stuck: The run has come to a halt.
        """
        met: set[int] = set()
        for offset, meets in STEPS:
            refused, until = refusals(rehearsal), time.monotonic() + QUIET_S
            while time.monotonic() < until:
                now = commands() - met
                if now if meets == "command" else refusals(rehearsal) > refused:
                    met |= now
                    break
                await asyncio.sleep(0.2)
            self.step(offset)
        requests, since = 0, time.monotonic()
        while time.monotonic() - since < STUCK_S:
            await asyncio.sleep(1.0)
            if rehearsal.requests != requests:
                requests, since = rehearsal.requests, time.monotonic()
        raise Stuck(f"no request to the model for {STUCK_S:.0f} s")


def refusals(rehearsal: Rehearsal) -> int:
    """Calls that the model has refused."""
    return sum(rehearsal.report()["faults"].values())


def commands() -> set[int]:
    """The process ids of the commands of agents."""
    found = psutil.process_iter(["pid", "cmdline"])
    return {process.info["pid"] for process in found if process.info["cmdline"] == ["sleep", str(COMMAND_S)]}


def playbook() -> Playbook:
    """A root planner whose tasks each run commands that take a while, and land a file."""
    titles = [f"Write part {index}" for index in range(TASKS)]
    spawn = step(use("spawn_tasks", tasks=asked(titles, "made")), use("wait"))
    root = PlannerScript(scope="root", calls=(spawn, done(after_handoffs=TASKS), done("Still done.")))
    tasks = []
    for index, title in enumerate(titles):
        line = f"mkdir -p made; sleep {COMMAND_S}; echo {{}} >> made/{index}.py"
        calls = [step(use("shell", command=line.format(number))) for number in range(COMMANDS)]
        tasks.append(TaskScript(title=title, calls=(*calls, step(use("land", message=title)), done())))
    # Of one agent alone: after three refusals in a row, of whichever agents, a model is left alone for minutes.
    refused_once = (Fault(kind="rate_limit", share=1, times=1, retry_after_s=REFUSED_S, only=titles[0]),)
    return Playbook(name="clock", planners=(root,), tasks=tuple(tasks), latency_ms=200, faults=refused_once)


@asynccontextmanager
async def up(rehearsal: Rehearsal) -> AsyncIterator[psutil.Popen]:
    """`headway up`, as its user starts it."""
    settings = yaml.safe_load(find_settings().read_text())
    settings["server"]["port"], settings["server"]["ui_port"] = PORT, UI_PORT
    (PLACE / "mine.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "headway.cli.app", "up", "--agents", str(AGENTS)]
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
        show_logs()
        raise
    finally:
        for member in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()


def show_logs() -> None:
    """The end of every log, for a failure."""
    store = LocalStore(PLACE / "home", results=RESULTS)
    for agent in store.agents(RunName(RUN)):
        told = [f"{event.type} {str(event.body)[:200]}" for event in store.all_events(agent)][-6:]
        say("\n    ".join([f"--- {agent}", *told]))
    for each in (PLACE / "up.log", *sorted((PLACE / "home").rglob("*.log"))):
        say(f"--- {each}\n{each.read_text(errors='replace')[-3_000:]}")


async def ready(process: psutil.Popen) -> Client:
    """A client, once `headway up` says that everything works."""
    until, told = time.monotonic() + READY_S, 0
    while True:
        lines = (PLACE / "up.log").read_text(errors="replace").splitlines()
        for line in lines[told:]:
            say(f"up: {line}")
        if any(line.startswith("Ready.") for line in lines):
            break
        told = len(lines)
        assert process.poll() is None, "headway up ended"
        assert time.monotonic() < until, "headway up is not ready"
        await asyncio.sleep(0.5)
    return await Client.connect(f"127.0.0.1:{PORT}", data_converter=pydantic_data_converter)


async def end_of(handle: WorkflowHandle[Any, Any], stepping: "asyncio.Task[None]") -> dict[str, Any]:
    """The report of the run. A call fails where a step lets its deadline pass, and is made again."""

    async def report() -> dict[str, Any]:
        while True:
            try:
                found: dict[str, Any] = await handle.result()
            except RPCError as error:
                say(f"the client's call failed and is made again: {error}")
                await asyncio.sleep(1.0)
            else:
                return found

    ending = asyncio.create_task(report())
    await asyncio.wait({ending, stepping}, return_when=asyncio.FIRST_COMPLETED)
    if not ending.done():
        stepping.result()  # raises
    stepping.cancel()
    return ending.result()


def workers(process: psutil.Process) -> set[tuple[int, str]]:
    """The processes that `headway up` started."""
    return {(child.pid, child.name()) for child in process.children()}


def prove_nothing_twice(site: Ground) -> None:
    """Nothing was bought twice, but for what an agent waited for when the service took its process for lost.

    That is after each step ahead by more than a minute, since it has not told of itself by the service's clock.
    """
    told, ahead = site.rehearsal.report(), sum(b - a > 60 for (a, _), (b, _) in pairwise(STEPS))
    for agent in told["agents"].values():
        assert agent["repeats"] + agent["unheard"] <= ahead, agent
    events = [event for agent in site.store.agents(RunName(RUN)) for event in site.store.all_events(agent)]
    lost = [reminder for reminder in bodies(events, Reminder) if reminder.why == "rebuilt"]
    assert not lost, "a workspace was taken for one of another boot"
    cut = sum("interrupted" in answer.text for answer in bodies(events, ToolResult))
    assert cut <= AGENTS * ahead, f"{cut} commands were interrupted"
    say(f"{told['requests']} requests, {told['faults']}, {told['repeats']} repeated, {told['unheard']} unheard")
    say(f"{cut} commands were interrupted by a step ahead")


async def prove_none_sent_away(client: Client) -> None:
    """No agent gave up its slot: the model never asked for a wait that is worth it."""
    async for found in client.list_workflows(f"WorkflowId STARTS_WITH '{RUN}/'"):
        async for event in client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history_events():
            said = event.activity_task_completed_event_attributes.result.SerializeToString()
            assert b'"why":"parked"' not in said, f"{found.id} was parked: {said!r}"
            assert b'"decision":"suspended"' not in said, f"{found.id} was suspended: {said!r}"


async def main() -> None:
    """Everything up, one run through all steps, and what must be so then."""
    repository = make_repository(PLACE / "repository", 20)
    clock = Clock()
    say("the guest's program is loaded")
    with Rehearsal(playbook()) as rehearsal:
        async with up(rehearsal) as process:
            client = await ready(process)
            say("headway up is ready")
            site, began = Ground(PLACE / "home", client, rehearsal, repository), workers(process)
            handle = await site.start(RUN, **order(TASKS, hours=None))
            await site.until_requests(1)
            report = await end_of(handle, asyncio.create_task(clock.steps(rehearsal)))
            say(f"the run ended as {report['outcome']}, {report['commits']} commits")
            prove_done(site, RUN, TASKS, report)
            prove_nothing_twice(site)
            await prove_none_sent_away(client)
            assert workers(process) == began, "a process was replaced"
            say("nothing was replaced, nothing happened twice")


if __name__ == "__main__":
    assert Path("/guest/init").exists(), "it would set the clock of this machine"
    say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} by the guest's clock")
    asyncio.run(main())
