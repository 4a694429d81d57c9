"""The composition root: settings, adapters, activities, worker process. Nothing else chooses an implementation.

`python worker.py` keeps three roles running, each in a process of its own: workflows, planning, agents. Apart, because
a blocking call of one must not starve the heartbeats of another.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
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
from headway.agents.tools.catalogue import RESULTS
from headway.agents.worker.worker import SNAPSHOT_STEPS, WorkerAgent
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.printable import for_terminal
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import redactor
from headway.git.hub import Hub
from headway.git.workspace.workspace_backend import backend_for
from headway.git.workspace.workspaces import Workspaces
from headway.host.connection import connect, target_of, worker_identity
from headway.host.home import home_from
from headway.host.supervisor import supervise
from headway.host.upgrade import check_upgrade, hash_of
from headway.host.worker_roles import AGENTS, ALLOW_WEAK, ROLES, SKIP_RUN, USUAL_AGENTS, WEAK, worker_children
from headway.models.roles import ModelRoles
from headway.models.settings import ModelSettings
from headway.runs.check import Checker
from headway.runs.lifecycle import MachineFacts, RunLifecycle
from headway.runs.run_figures import RunFolders
from headway.runs.trials import Trials
from headway.sandbox.admission.admission import Admission
from headway.sandbox.admission.concurrency import Concurrency
from headway.sandbox.backends.backends import VARIABLE as SANDBOX
from headway.sandbox.backends.backends import Backends
from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.disk_usage import Quota
from headway.sandbox.resources import Resources
from headway.system import open_files
from headway.system.heartbeat import Heartbeat
from headway.system.latest import Latest
from headway.system.process_exit import leave
from headway.system.reserve import Reserve
from headway.system.search_path import complete_search_path
from headway.system.signals import on_end_asked
from headway.system.timed_lines import time_lines
from prompts.prompts import Prompts, own_folder
from workflows.options import AGENT_QUEUE, DEFAULT_AUDIT_S, DEFAULT_HEARTBEAT_S, QUEUE
from workflows.replay import INTERCEPTORS, WORKFLOWS, reading, replayer, sandbox
from workflows.true_figures import TrueFigures

COMPACT_AT = 0.75
SECRETS = ("TEMPORAL_API_KEY", "TEMPORAL_TLS_CLIENT_KEY_DATA")
PLANNING_SLOTS = 100
CONNECT_EVERY_S = 2.0
HERE = Path(__file__).resolve().parent
WORKFLOW_CODE = (HERE / "workflows", HERE / "headway" / "domain")
"""Sources that decide what a workflow does with its history. Changed ones are tried on all open workflows first."""


@dataclass(frozen=True)
class Settings:
    """Settings from the environment and the command line.

    Attributes:
        agents: Number of agents that run at once in this process; a property of the machine.
        heartbeat_s: Heartbeat timeout of every activity, from 2 s.
        heavy: Builds and tests at once on this machine.
        io_mb_s: Megabytes a second that one agent may read, and write, of the disk; 0 for any.
        disk_mb: The most that one workspace may take; 0 for what its disk allows.
        audit_s: Silence after which a planner looks for children that closed without a handoff, in seconds, from 1.
        prompts: Folder of the user's own prompts.
        sandbox: The configured sandbox level; empty for the strongest that this machine has.
        allow_weak: Commands may run without walls where it has none.
        snapshot_steps: Number of a worker's steps after which its unlanded changes are kept.
    """

    home: Path
    models: ModelSettings
    agents: int
    heartbeat_s: int
    audit_s: int
    heavy: int
    io_mb_s: int
    disk_mb: int
    secrets: tuple[str, ...]
    prompts: Path | None = None
    sandbox: str = ""
    allow_weak: bool = False
    snapshot_steps: int = SNAPSHOT_STEPS

    @classmethod
    def read(cls, env: Mapping[str, str], agents: int | None, *, allow_weak: bool = False) -> "Settings":
        """Read everything once.

        Raises:
            UserError: Something is missing or makes no sense.
        """
        models = ModelSettings.read(env)
        return cls(
            home=home_from(env),
            models=models,
            agents=agents or _number(env, AGENTS, USUAL_AGENTS, least=1),
            heartbeat_s=_number(env, "HEADWAY_HEARTBEAT_S", DEFAULT_HEARTBEAT_S, least=2),
            audit_s=_number(env, "HEADWAY_AUDIT_S", DEFAULT_AUDIT_S, least=1),
            heavy=_number(env, "HEADWAY_HEAVY", os.cpu_count() or 1, least=1),
            io_mb_s=_number(env, "HEADWAY_AGENT_IO_MB_S", 0, least=0),
            disk_mb=_number(env, "HEADWAY_AGENT_DISK_MB", 0, least=0),
            secrets=(*models.secrets, *(env[name] for name in SECRETS if env.get(name))),
            prompts=own_folder(env),
            snapshot_steps=_number(env, "HEADWAY_SNAPSHOT_STEPS", SNAPSHOT_STEPS, least=1),
            sandbox=env.get(SANDBOX, "").strip(),
            allow_weak=allow_weak,
        )


class Workshop:
    """The adapters, made once per process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = LocalStore(settings.home, redact=redactor(settings.secrets), results=RESULTS)
        self.rung = backend_for(settings.home)
        self.resources = _resources(settings)
        levels = Backends((settings.home,), self.resources, tell=_show)
        self.sandbox = levels.choose(allow_weak=settings.allow_weak, pinned=settings.sandbox)
        self.prompts = Prompts.load(settings.prompts)
        self.models = settings.models.open(settings.home, _show)

    def hubs(self, run: RunName) -> Hub:
        """The hub of a run. It holds nothing, so that none is kept."""
        return Hub(self.store.run_folder(run) / "hub.git")

    def workspaces(self, run: RunName) -> Workspaces:
        """The workspaces of a run; the same."""
        return Workspaces(self.store.run_folder(run) / "workspaces", self.hubs(run), self.rung)

    def worker_agent(self) -> WorkerAgent:
        """The loop of workers."""
        steps = self.settings.snapshot_steps
        given = (self.store, self.hubs, self.workspaces, self.sandbox, self.models, self.prompts)
        return WorkerAgent(*given, server_time, snapshot_steps=steps, reading=self.resources.reading)

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


async def look_at_models(models: ModelRoles) -> None:
    """Log the lacks of the models' servers, before an agent finds out."""
    for finding in (await models.probe()).findings:
        _show(f"{finding.topic}: {finding.state}: {finding.words}")


def _resources(settings: Settings) -> Resources:
    """Resources of commands on this machine."""
    settings.home.mkdir(parents=True, exist_ok=True)
    quota = Quota(settings.disk_mb) if settings.disk_mb else Quota.usual(settings.home)
    bandwidth = Bandwidth.of(settings.home, settings.io_mb_s) if settings.io_mb_s else None
    gates = Admission(settings.home / "gates", settings.heavy)
    return Resources(Groups.detect(bandwidth=bandwidth), gates, quota, Reserve(settings.home))


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
    planner = PlannerAgent(*given, server_time, reading=workshop.resources.reading)
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


def keep_bytecode(folder: Path) -> None:
    """Let this process keep compiled modules in `folder`, whatever the environment says about bytecode.

    The sandbox imports a workflow's module anew for each workflow. Without bytecode that compiles it each time, which
    was a third of the worker process's work (22 ms of CPU a task).
    """
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(folder)


async def beating(heartbeat: Heartbeat, role: str, settings: Settings, skip_runs: Collection[str]) -> None:
    """Run one role, and let the supervisor hear that its event loop runs."""
    async with heartbeat:
        await work(role, settings, skip_runs, heartbeat.at_work)


async def work(
    role: str, settings: Settings, skip_runs: Collection[str] = (), at_work: Callable[[], None] = lambda: None
) -> None:
    """Run one role until it is asked to end, then let running work end or be resumed elsewhere.

    `at_work` is called once it polls.

    Raises:
        UserError: Commands cannot be walled in here, and that was not allowed; or the workflows' code does not fit
            what is open, in other runs than those in `skip_runs`.
    """
    tell_failures()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(32, 2 * settings.agents)))
    # Before it waits for a service: where commands cannot be walled in, it says so at once. Apart from the event loop,
    # which beats meanwhile: on a busy machine its self-tests take long.
    workshop = None if role == "workflows" else await asyncio.to_thread(Workshop, settings)
    client = await _patient_client(settings.home)
    match role:
        case "workflows":
            keep_bytecode(settings.home / "bytecode")
            await check_upgrade(client, settings.home, workflow_code(), replayer, skip=skip_runs, tell=_show)
            worker = workflow_worker(client, settings.home)
        case "planning":
            assert workshop is not None
            worker = planning_worker(client, workshop)
            looking = asyncio.create_task(look_at_models(workshop.models))  # noqa: F841, RUF006 - held until the end
        case _:
            assert workshop is not None
            worker = agent_worker(client, workshop)
    # Everything that is loaded by now lives as long as the process; the garbage collector need not look at it again.
    gc.freeze()
    stop = asyncio.Event()
    on_end_asked(loop, stop.set)
    async with worker:
        _show(f"{role}: ready")
        at_work()
        await stop.wait()
    if workshop is not None:
        workshop.resources.close()


async def _patient_client(home: Path) -> Client:
    """A client, whenever the service comes back: a worker process that is restarted may be up before it."""
    while True:
        try:
            return await connect(target_of(home), identity=worker_identity())
        except UserError as error:
            _show(error)
            await asyncio.sleep(CONNECT_EVERY_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `python worker.py`: its exit code."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Headway's worker processes.")
    parser.add_argument("--only", choices=ROLES, help="run one role in this process")
    parser.add_argument("--agents", type=int, help="agents at work at once (default: 8 per core)")
    parser.add_argument("--skip-run", action="append", default=[], metavar="NAME", help=SKIP_RUN)
    parser.add_argument(ALLOW_WEAK, action="store_true", help=WEAK)
    options = parser.parse_args(arguments)
    open_files.allow()
    complete_search_path()
    heartbeat = Heartbeat.of(os.environ)
    if heartbeat.is_heard:
        time_lines()  # a supervisor started this process: its output is a log
    try:
        settings = Settings.read(os.environ, options.agents, allow_weak=options.allow_weak_sandbox)
        _show(Prompts.load(settings.prompts).told)
        if options.only:
            asyncio.run(beating(heartbeat, options.only, settings, options.skip_run))
        else:
            asyncio.run(connect(target_of(settings.home)))
            weak = options.allow_weak_sandbox
            children = worker_children(options.agents, skip_runs=options.skip_run, allow_weak=weak)
            supervise(settings.home, children, on_event=_show)
    except UserError as error:
        print(for_terminal(f"headway: {error}"), file=sys.stderr)  # noqa: T201 - the one message
        return 2
    return 0


def _show(event: object) -> None:
    """Log starts and deaths of roles, replays and the prompts in use. A log that cannot be written ends nothing."""
    if event:
        with suppress(OSError):
            # It may quote a server, and is read on a terminal.
            print(for_terminal(str(event)), flush=True)  # noqa: T201 - to its log


def _number(env: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{name}: must be an integer >= {least} (got '{text}').")
    return int(text)


if __name__ == "__main__":
    leave(main())
