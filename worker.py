"""The composition root: settings, adapters, activities, worker process. Nothing else chooses an implementation.

`python worker.py` keeps three roles running, each in a process of its own: workflows, planning, agents. Apart, because
a blocking call of one must not starve the heartbeats of another.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from activities.control import ControlWatch
from activities.failure_lines import tell_failures
from activities.handoffs import Handoffs
from activities.outage_reporter import OutageReporter
from activities.planning import Planning
from activities.repository import Checks, Repository
from activities.server_time import server_time
from activities.slots import agent_tuner
from activities.temporal_service import TemporalService
from activities.work import Work, WorkEnds
from headway.agents.first_calls import sizes_of
from headway.agents.handoff_store import HandoffStore
from headway.agents.planner.planner import PlannerAgent
from headway.agents.tools.catalogue import PLANNER_TOOLS, RESULTS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.numbers import whole_number
from headway.domain.printable import for_terminal
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import redactor
from headway.git.hub import Hub
from headway.git.workspace.workspace_backend import SETTING as WORKSPACES
from headway.git.workspace.workspace_backend import backend_for
from headway.git.workspace.workspaces import Workspaces
from headway.host.bytecode import keep_bytecode
from headway.host.connection import connect, connect_when_up, target_of
from headway.host.output import show
from headway.host.role import poll_until_asked, size_executor
from headway.host.settings import Settings
from headway.host.supervisor import supervise
from headway.host.upgrade import check_upgrade, hash_of
from headway.host.worker_roles import ALLOW_WEAK, ROLES, SKIP_RUN, USUAL_AGENTS, WEAK, worker_children
from headway.models.settings import ModelSettings
from headway.runs.check import Checker
from headway.runs.lifecycle import MachineFacts, RunLifecycle
from headway.runs.run_figures import RunFolders
from headway.runs.trials import Trials
from headway.sandbox.admission.concurrency import Concurrency
from headway.sandbox.backends.backends import Backends
from headway.sandbox.resources import Resources
from headway.system import open_files
from headway.system.heartbeat import Heartbeat
from headway.system.latest import Latest
from headway.system.process_exit import leave
from headway.system.search_path import complete_search_path
from headway.system.timed_lines import time_lines
from prompts.prompts import Prompts
from workflows.options import AGENT_QUEUE, QUEUE
from workflows.replay import INTERCEPTORS, WORKFLOWS, reading, replayer, sandbox
from workflows.true_figures import TrueFigures

PLANNING_SLOTS = 100
HERE = Path(__file__).resolve().parent
WORKFLOW_CODE = (HERE / "workflows", HERE / "headway" / "domain")
"""Sources that decide what a workflow does with its history. Changed ones are tried on all open workflows first."""


class Workshop:
    """The adapters, made once per process."""

    def __init__(self, settings: Settings, models: ModelSettings, *, allow_weak: bool = False) -> None:
        self.settings = settings
        home = settings.home
        self.store = LocalStore(home, redact=redactor((*models.secrets, *settings.secrets)), results=RESULTS)
        self.backend = backend_for(home, {WORKSPACES: settings.workspaces})
        self.resources = Resources.of_machine(
            home, heavy=settings.heavy, disk_mb=settings.disk_mb, io_mb_s=settings.io_mb_s
        )
        levels = Backends((home,), self.resources, tell=show)
        self.sandbox = levels.choose(allow_weak=allow_weak, pinned=settings.sandbox)
        self.prompts = Prompts.load(settings.prompts)
        self.models = models.open(home, show)

    def hubs(self, run: RunName) -> Hub:
        """The hub of a run. It holds nothing, so that none is kept."""
        return Hub(self.store.run_folder(run) / "hub.git")

    def workspaces(self, run: RunName) -> Workspaces:
        """The workspaces of a run; the same."""
        return Workspaces(self.store.run_folder(run) / "workspaces", self.hubs(run), self.backend)

    def worker_agent(self) -> WorkerAgent:
        """The loop of workers."""
        steps = self.settings.snapshot_steps
        given = (self.store, self.hubs, self.workspaces, self.sandbox, self.models, self.prompts)
        return WorkerAgent(
            *given, server_time, tools=WORKER_TOOLS, snapshot_steps=steps, reading=self.resources.reading
        )

    def run_lifecycle(self) -> RunLifecycle:
        """A run's beginning and end."""
        given = self.settings
        machine = MachineFacts(
            self.sandbox.level,
            self.sandbox.not_enforced,
            given.heartbeat_s,
            given.audit_s,
            refuses_network=self.sandbox.refuses_network,
            private=(given.home,),
        )
        preflight = Trials(self.models, self.checker(), self.workspaces)
        given_to_it = (self.store, self.hubs, self.models, self.prompts)
        return RunLifecycle(
            *given_to_it, machine=machine, preflight=preflight, folders=self.store.run_folder, first_calls=sizes_of
        )

    def checker(self) -> Checker:
        """Proves commits."""
        return Checker(self.store, self.hubs, self.workspaces, self.sandbox)


@cache
def workflow_code() -> str:
    """Names the workflows' code: for the check at an upgrade, and for the service, which shows it as the build.

    Temporal's own default hashes every loaded module, which compiles all of them where they have no bytecode: 2.7 s.
    """
    return hash_of(WORKFLOW_CODE)


def workflow_worker(client: Client, home: Path) -> Worker:
    """The worker of all workflows. Few tasks at once: a replay storm after a restart trips the deadlock detector."""
    folders = Latest(RunFolders(LocalStore(home, results=RESULTS)).look)
    return Worker(
        reading(client),
        build_id=workflow_code(),
        task_queue=QUEUE,
        workflows=WORKFLOWS,
        workflow_runner=sandbox(),
        interceptors=[*INTERCEPTORS, TrueFigures(folders.get, folders.prepare)],
        max_concurrent_workflow_tasks=10,
        max_cached_workflows=2000,
        graceful_shutdown_timeout=timedelta(seconds=30),
    )


def planning_worker(client: Client, workshop: Workshop) -> Worker:
    """The worker of planning turns and of everything short around them."""
    service = TemporalService(client)
    control = ControlWatch(service, OutageReporter(workshop.models, service))
    given = (workshop.store, workshop.hubs, workshop.models, workshop.prompts)
    planner = PlannerAgent(*given, server_time, tools=PLANNER_TOOLS, reading=workshop.resources.reading)
    handoffs = Handoffs(HandoffStore(workshop.store, workshop.hubs), service)
    repository = Repository(workshop.run_lifecycle(), service)
    return Worker(
        client,
        build_id=workflow_code(),
        task_queue=QUEUE,
        activities=[
            Planning(planner, control).plan_turn,
            handoffs.store_handoff,
            handoffs.describe_children,
            repository.prepare_run,
            repository.publish,
            repository.write_note,
            repository.write_amendment,
            repository.write_report,
            repository.measure_spent,
            WorkEnds(workshop.worker_agent()).end_worker,
        ],
        max_concurrent_activities=PLANNING_SLOTS,
        max_heartbeat_throttle_interval=timedelta(seconds=10),
        graceful_shutdown_timeout=timedelta(seconds=30),
    )


def agent_worker(client: Client, workshop: Workshop) -> Worker:
    """The worker of workers."""
    service = TemporalService(client)
    control = ControlWatch(service, OutageReporter(workshop.models, service))
    return Worker(
        client,
        build_id=workflow_code(),
        task_queue=AGENT_QUEUE,
        activities=[Work(workshop.worker_agent(), control).run_worker, Checks(workshop.checker()).run_check],
        tuner=agent_tuner(Concurrency(workshop.settings.agents, workshop.settings.home).allowed),
        max_heartbeat_throttle_interval=timedelta(seconds=10),
        graceful_shutdown_timeout=timedelta(seconds=30),
    )


async def work(
    role: str, settings: Settings, workshop: Callable[[], Workshop], heartbeat: Heartbeat, skip_runs: Collection[str]
) -> None:
    """Run one role until it is asked to end, and let the supervisor hear that its event loop runs.

    Raises:
        UserError: Commands cannot be walled in here, and that was not allowed; or the workflows' code does not fit
            what is open, in other runs than those in `skip_runs`.
    """
    tell_failures()
    size_executor(settings.agents)
    async with heartbeat:
        if role == "workflows":
            await work_on_workflows(settings, heartbeat, skip_runs)
        else:
            await work_on_activities(role, settings, workshop, heartbeat)


async def work_on_workflows(settings: Settings, heartbeat: Heartbeat, skip_runs: Collection[str]) -> None:
    """Check that the workflows' code fits what is open, then run all workflows."""
    home = settings.home
    client = await connect_when_up(home, show)
    keep_bytecode(home / "bytecode")
    await check_upgrade(client, home, workflow_code(), replayer, skip=skip_runs, tell=show)
    await poll_until_asked(workflow_worker(client, home), "workflows", heartbeat.at_work)


async def work_on_activities(
    role: str, settings: Settings, make_workshop: Callable[[], Workshop], heartbeat: Heartbeat
) -> None:
    """Run the planning turns or the worker agents."""
    # Before it waits for a service: where commands cannot be walled in, it says so at once. In a thread, because its
    # self-tests take long on a busy machine and the event loop beats meanwhile.
    workshop = await asyncio.to_thread(make_workshop)
    client = await connect_when_up(settings.home, show)
    looking: asyncio.Task[None] | None = None
    if role == "planning":
        looking = asyncio.create_task(workshop.models.tell_findings(show))
    worker = (planning_worker if role == "planning" else agent_worker)(client, workshop)
    await poll_until_asked(worker, role, heartbeat.at_work)
    if looking is not None:
        looking.cancel()
    workshop.resources.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `python worker.py`: its exit code."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Headway's worker processes.")
    parser.add_argument("--only", choices=ROLES, help="run one role in this process")
    parser.add_argument("--agents", metavar="N", help="agents at work at once (default: 8 per core)")
    parser.add_argument("--skip-run", action="append", default=[], metavar="NAME", help=SKIP_RUN)
    parser.add_argument(ALLOW_WEAK, action="store_true", help=WEAK)
    options = parser.parse_args(arguments)
    open_files.allow()
    complete_search_path()
    heartbeat = Heartbeat.of(os.environ)
    if heartbeat.is_heard:
        time_lines()  # a supervisor started this process: its output is a log
    try:
        agents = _agents(options.agents)
        settings, models = Settings.read(agents=agents), ModelSettings.read(os.environ)
        weak = options.allow_weak_sandbox
        show(Prompts.load(settings.prompts).told)
        if options.only:
            workshop = partial(Workshop, settings, models, allow_weak=weak)
            asyncio.run(work(options.only, settings, workshop, heartbeat, options.skip_run))
        else:
            asyncio.run(connect(target_of(settings.home)))
            children = worker_children(agents, skip_runs=options.skip_run, allow_weak=weak)
            supervise(settings.home, children, on_event=show)
    except UserError as error:
        print(for_terminal(f"headway: {error}"), file=sys.stderr)  # noqa: T201 - the one message
        return 2
    return 0


def _agents(given: str | None) -> int | None:
    return None if given is None else whole_number({"--agents": given}, "--agents", USUAL_AGENTS)


if __name__ == "__main__":
    leave(main())
