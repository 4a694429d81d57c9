"""How many tasks a second the durable core carries, beside a bare Temporal prototype, and what a paused run costs.

Ours are the real workflows and activities with agents that do nothing, the local service with its shipped settings, and
the processes that `worker.py` runs. Both plan in waves of a hundred. Wall time is the driver's: a replay would reset a
clock that is read inside a workflow.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from benchmarks import bare_temporal, idle_agents
from benchmarks.table import Outcome, cpu_seconds, private_cache, report
from headway.host.bytecode import keep_bytecode
from headway.host.child_process import ChildProcess
from headway.host.local_site import start_service
from headway.host.service import NAME as SERVER
from headway.host.service_settings import find_settings, load_settings
from headway.host.supervisor import Supervisor
from headway.system.ports import free_ports

WAVE = 100
QUIET = 0.03
"""Share of a core; the idle service takes 1 %. At a tenth, the end of the pausing itself was measured: 3.0 %."""
ROLES = ("workflows", "planning", "agents")
BARE_ROLES = ("bare-workflows", "bare-agents")


@dataclass(frozen=True)
class Measured:
    """One side's figures."""

    tasks_per_second: float
    server_ms: float
    worker_ms: float


class Bench:
    """A service and the worker processes of one side."""

    def __init__(self, client: Client, supervisor: Supervisor, roles: tuple[str, ...]) -> None:
        self.client = client
        self.supervisor = supervisor
        self.roles = roles

    def cpu(self) -> tuple[float, float]:
        """Seconds of the server, and of all worker processes."""
        workers = [pid for role in self.roles if (pid := self.supervisor.pid(role)) is not None]
        server = self.supervisor.pid(SERVER)
        return (cpu_seconds(server) if server else 0.0, sum(cpu_seconds(pid) for pid in workers))

    async def measure(self, tasks: int) -> Measured:
        """Run so many tasks to their end."""
        before, began = self.cpu(), time.monotonic()
        await self.run(f"b{time.time_ns()}", tasks)
        took, after = time.monotonic() - began, self.cpu()
        per_task = 1000 / tasks
        return Measured(tasks / took, (after[0] - before[0]) * per_task, (after[1] - before[1]) * per_task)

    async def run(self, name: str, tasks: int) -> None:
        """One run of one side."""
        if self.roles == BARE_ROLES:
            wave = bare_temporal.Wave(tasks, WAVE)
            await self.client.execute_workflow("BarePlanner", wave, id=name, task_queue=bare_temporal.QUEUE)
        else:
            await self.client.execute_workflow("Run", idle_agents.asked(tasks), id=name, task_queue="headway")


@asynccontextmanager
async def bench(home: Path, roles: tuple[str, ...]) -> AsyncIterator[Bench]:
    """Start a service and worker processes; stop them afterwards."""
    settings = load_settings(find_settings())
    port, ui_port = free_ports(2)
    server = settings.server.model_copy(update={"port": port, "ui_port": ui_port})
    async with Supervisor(home) as supervisor:
        site = await start_service(supervisor, settings.model_copy(update={"server": server}))
        for role in roles:
            argv = (sys.executable, "-m", "benchmarks.durable_tasks", "--role", role, "--address", site.address)
            await supervisor.start(ChildProcess(role, argv))
        one = Bench(site.client, supervisor, roles)
        await one.run("warm-up", WAVE)
        yield one


async def paused_cost(one: Bench, tasks: int, seconds: float) -> tuple[float, float]:
    """Shares of a core, in per cent, of service and worker processes: with nothing at all, and with a paused run.

    The run has so many open tasks; what it costs is the difference. To pause 300 takes the service some 15 s of CPU,
    once, so the measurement begins when that is over.
    """
    await until_quiet(one.cpu)
    nothing = await idle_share(one, seconds)
    handle = await one.client.start_workflow(
        "Run", idle_agents.asked(tasks, hold=True), id="paused", task_queue="headway"
    )
    open_tasks = "RootWorkflowId = 'paused' AND WorkflowType = 'Task' AND ExecutionStatus = 'Running'"
    while (await one.client.count_workflows(open_tasks)).count < tasks:  # noqa: ASYNC110 - the server tells when asked
        await asyncio.sleep(0.5)
    await handle.execute_update("pause", {"request": "1", "target": "paused", "who": "bench", "why": "idle cost"})
    await until_quiet(one.cpu)
    paused = await idle_share(one, seconds)
    await handle.terminate()
    return nothing, paused


async def idle_share(one: Bench, seconds: float) -> float:
    """What service and worker processes take of a core, in per cent, while nothing is asked of them."""
    before, began = one.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (sum(one.cpu()) - sum(before)) / (time.monotonic() - began)


async def until_quiet(cpu: Callable[[], tuple[float, float]]) -> None:
    """Return when the processes have settled: two readings in a row under `QUIET` of a core."""
    quiet, before, at = 0, sum(cpu()), time.monotonic()
    while quiet < 2:
        await asyncio.sleep(2)
        now, then = sum(cpu()), time.monotonic()
        quiet = quiet + 1 if (now - before) / (then - at) < QUIET else 0
        before, at = now, then


async def drive(*, quick: bool) -> Outcome:
    """Both sides in turn, so that a machine that grows slower meets both."""
    tasks, rounds, paused_tasks = (300, 2, 60) if quick else (1000, 3, 300)
    ours: list[Measured] = []
    theirs: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        async with bench(Path(folder) / "ours", ROLES) as a, bench(Path(folder) / "bare", BARE_ROLES) as b:
            for _ in range(rounds):
                ours.append(await a.measure(tasks))
                theirs.append(await b.measure(tasks))
            nothing, paused = await paused_cost(a, paused_tasks, 6 if quick else 60)
    mine, bare = _middle(ours), _middle(theirs)
    return Outcome(
        name="durable_tasks",
        figures={
            **vars(mine),
            "paused_tasks": paused_tasks,
            "paused_percent_of_a_core": paused,
            "paused_run_percent": paused - nothing,
        },
        baseline={**vars(bare), "paused_percent_of_a_core": nothing},
        ratios={"vs_bare_temporal": mine.tasks_per_second / bare.tasks_per_second},
    )


def _middle(measured: list[Measured]) -> Measured:
    return sorted(measured, key=lambda one: one.tasks_per_second)[len(measured) // 2]


async def play(role: str, address: str) -> None:
    """One worker process of one side, until SIGTERM."""
    from temporalio.contrib.pydantic import pydantic_data_converter

    keep_bytecode(private_cache() / "bytecode")  # on both sides
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    match role:
        case "bare-workflows":
            worker = bare_temporal.workflow_worker(client)
        case "bare-agents":
            worker = bare_temporal.activity_worker(client)
        case _:
            worker = idle_agents.worker(role, client)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with worker:
        await stop.wait()


def main() -> None:
    """The benchmark, or one of its worker processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end in 50 s on 2 cores")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        asyncio.run(play(asked.role, asked.address))
    else:
        report(asyncio.run(drive(quick=asked.quick)), asked.json)


if __name__ == "__main__":
    main()
