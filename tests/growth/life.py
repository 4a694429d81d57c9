"""A long life in one process: many runs with real activities, git, Temporal and a model server.

Workflows, planning and agents of all runs work in one process; the model server and Temporal are processes of their
own.
"""

import asyncio
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from temporalio.client import Client
from temporalio.worker import Worker

from headway.git.landing import landing_queue
from headway.git.workspace import overlay
from headway.host.bytecode import keep_bytecode
from headway.host.local_site import start_service
from headway.host.service_settings import find_settings, load_settings
from headway.host.settings import Settings
from headway.host.supervisor import Supervisor
from headway.models import circuit_breaker, spending
from headway.models.settings import ModelSettings
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from headway.sandbox.admission import command_cost
from headway.sandbox.cgroup import groups
from headway.sandbox.process import orphans, watchdog
from headway.system.ports import free_ports
from tests.growth.state import Process, files_in
from tests.support.playbooks import asked, done, step, use
from tests.support.repositories import make_repository
from worker import Workshop, agent_worker, planning_worker, workflow_worker

MODELS = 3
"""Names of models that the runs use in turn: more than the process keeps gates for here."""

SMALL = 2
"""Bound of each cache here: the usual ones, up to 2,000, are reached only by a life of weeks."""

AT_ONCE = 4
PRICE = {"input": 1.0, "output": 10.0}


@dataclass(frozen=True)
class Shape:
    """A run: its tasks, and the landings of each. One more task leaves its work on a ref."""

    tasks: int
    landings: int


def playbook_of(shape: Shape) -> Playbook:
    """Workers that land, print much, and leave work behind."""
    titles = [f"Write part {index}" for index in range(shape.tasks - 1)]
    root = PlannerScript(
        scope="root",
        calls=(
            step(use("list_dir", path=".", depth=1)),
            step(use("spawn_tasks", tasks=asked([*titles, "Leave work"], "made")), use("wait")),
            done(after_handoffs=shape.tasks),
            done("Still done."),
        ),
    )
    tasks = [_writer(title, f"made/{index}", shape.landings) for index, title in enumerate(titles)]
    leaver = TaskScript(
        title="Leave work",
        calls=(
            step(use("write_file", path="left/work.py", content="value = 1\n"), use("shell", command="seq 3000")),
            step(use("finish", status="partial", summary="Not landed.")),
            step(use("finish", status="partial", summary="Still not landed."), optional=True),
        ),
    )
    return Playbook(name="life", planners=(root,), tasks=(*tasks, leaver))


def _writer(title: str, folder: str, landings: int) -> TaskScript:
    calls = [
        call
        for number in range(landings)
        for call in (
            use("write_file", path=f"{folder}/{number}.py", content=f"value = {number}\n"),
            use("land", message=f"Write {folder}/{number}.py"),
        )
    ]
    return TaskScript(title=title, calls=(step(*calls), step(use("shell", command=f"cat {folder}/0.py")), done()))


@contextmanager
def small_caches() -> Iterator[None]:
    """Have the caches reach their bounds at once, so that what goes on growing is none of them."""
    bounds: list[tuple[object, str]] = [(groups, "KEPT"), (watchdog, "_REMEMBERED"), (orphans, "_REMEMBERED")]
    bounds += [
        (command_cost, "_REMEMBERED"),
        (circuit_breaker, "GATES_KEPT"),
        (spending, "LEDGERS_KEPT"),
        (landing_queue._turns, "_most"),
    ]
    with ExitStack() as stack:
        for place, name in bounds:
            stack.enter_context(patch.object(place, name, SMALL))
        yield
        landing_queue._turns.close()


@contextmanager
def served(playbook: Playbook) -> Iterator[str]:
    """The playbook's model server, in a process of its own; its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(playbook, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(20)
        process.close()
        ours.close()
        theirs.close()


def _serve(playbook: Playbook, line: Connection) -> None:
    with Rehearsal(playbook) as rehearsal:
        line.send(rehearsal.url)
        line.recv()


@dataclass
class Life:
    """One process with all its workers."""

    home: Path
    repository: Path
    client: Client
    workshop: Workshop
    workflows: Worker
    count: int = 0
    seconds: float = 0.0
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def runs(self, number: int) -> None:
        """Have so many runs work from their beginning to their end, a few at once."""
        began, circuit_breaker = time.monotonic(), asyncio.Semaphore(AT_ONCE)

        async def one(name: str, model: str) -> None:
            async with circuit_breaker:
                models = {role: {"model": model, "price": PRICE} for role in ("planner", "worker")}
                limits = {"usd_per_hour": 1_000_000, "usd": 1_000_000, "tokens": 1_000_000_000}
                raw = {"repo": str(self.repository), "instructions": "Write the files.", "check": "true"}
                more = {"models": models, "limits": limits}
                told = await self.client.execute_workflow("Run", raw | more, id=name, task_queue="headway")
                self.ends[told["outcome"], told["commits"]] += 1

        names = [self.name(self.count + each) for each in range(number)]
        await asyncio.gather(*(one(name, f"model-{name[-4:]}") for name in names))
        self.count += number
        self.seconds += time.monotonic() - began

    @staticmethod
    def name(number: int) -> str:
        """The name of a run; its last four digits are those of its model."""
        return f"life-{number:05}-{number % MODELS:04}"

    async def look(self) -> Process:
        """The process once it rests: no workflow is cached, and its number of descriptors has not changed for 5 s.

        An idle connection to a model's server is closed after 4 s.
        """
        steady, before, until = 0, -1, time.monotonic() + 60
        cached = self.workflows._workflow_worker
        while cached is not None and cached._running_workflows and time.monotonic() < until:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)
        while steady < 25 and time.monotonic() < until:
            now = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a quick count
            steady, before = (steady + 1 if now == before else 0), now
            await asyncio.sleep(0.2)
        self.workshop.store._synced.clear()  # names of blobs, which have their own bound
        return Process.look(self.home)

    def outside_of_runs(self) -> Counter[str]:
        """Files of the state folder that are of no run."""
        return files_in(self.home, without="runs")

    def of_run(self, number: int) -> Counter[str]:
        """Files of one run."""
        return files_in(self.home / "runs" / self.name(number))


@asynccontextmanager
async def life(folder: Path, shape: Shape) -> AsyncIterator[Life]:
    """Everything up; everything down afterwards."""
    home = folder / "home"
    home.mkdir()
    keep_bytecode(folder / "bytecode")
    repository = make_repository(folder / "repository", 50)
    settings = load_settings(find_settings())
    port, ui_port = free_ports(2)
    server = settings.server.model_copy(update={"port": port, "ui_port": ui_port})
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=16))
    async with AsyncExitStack() as stack:
        stack.enter_context(small_caches())
        stack.callback(overlay.unmount_below, home)
        url = stack.enter_context(served(playbook_of(shape)))
        supervisor = await stack.enter_async_context(Supervisor(home))
        site = await start_service(supervisor, settings.model_copy(update={"server": server}))
        models = ModelSettings.read({"OPENAI_BASE_URL": url})
        workshop = await asyncio.to_thread(Workshop, Settings.read(home=home, agents=8), models)
        stack.callback(workshop.resources.close)
        workflows = workflow_worker(site.client, home)
        others = planning_worker(site.client, workshop), agent_worker(site.client, workshop)
        for worker in (workflows, *others):
            await stack.enter_async_context(worker)
        yield Life(home, repository, site.client, workshop, workflows)
