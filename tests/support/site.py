"""A whole machine in one folder: Temporal service, worker processes, rehearsal. Everything real but the model."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.client import Client, WorkflowHandle

from headway.agents.tools.catalogue import RESULTS
from headway.domain.handoff import Handoff
from headway.domain.ids import AgentId, RunName
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import HandedOff
from headway.eventlog.local_store import LocalStore
from headway.git.hub import Hub
from headway.git.landed import LandedCommit
from headway.host.child_watch import Timing
from headway.host.local_site import start_service, start_workers
from headway.host.service_settings import find_settings, load_settings
from headway.host.supervisor import Supervisor
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import Playbook
from headway.system.ports import free_ports
from tests.support.environment import hide

SERVER = "temporal"

MARK = "HEADWAY_COMMAND"
"""What every process of a command carries: the mark of the process that runs commands, and after it the command's."""


@dataclass
class Ground:
    """What runs on a machine, and how a test reaches it."""

    home: Path
    client: Client
    rehearsal: Rehearsal
    repository: Path

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.home, results=RESULTS)

    async def start(self, name: str, **more: Any) -> WorkflowHandle[Any, Any]:
        """Start a run as the stock CLI does."""
        raw = {"repo": str(self.repository), "instructions": "Write the files.", **more}
        return await self.client.start_workflow("Run", raw, id=name, task_queue="headway")

    async def until_requests(self, count: int) -> None:
        """Return when the model server was asked so many times: the clock of a run that does not depend on time."""
        while self.rehearsal.report()["requests"] < count:  # noqa: ASYNC110 - counted in another thread
            await asyncio.sleep(0.02)

    def hub(self, run: str) -> Hub:
        return Hub(self.store.run_folder(RunName(run)) / "hub.git")

    def landed(self, run: str) -> list[LandedCommit]:
        """The run's commits on its trunk."""
        hub = self.hub(run)
        return hub.landed(hub.facts().base)

    def handoffs(self, run: str) -> dict[AgentId, list[Handoff]]:
        """Every stored handoff of a run's agents, in live lines."""
        store, found = self.store, {}
        for agent in store.agents(RunName(run)):
            if agent != AgentId(run):
                found[agent] = [end.handoff for end in bodies(store.read(agent), HandedOff)]
        return found

    def answers(self, run: str) -> int:
        """Model calls whose answer is in an agent log."""
        store = self.store
        agents = store.agents(RunName(run))
        return sum(event.type == "llm.response" for agent in agents for event in store.all_events(agent))


@dataclass
class Machine(Ground):
    """The same, with its processes started by this one."""

    supervisor: Supervisor
    ui_url: str | None

    @property
    def mark(self) -> str:
        """What the worker processes carry, and so, before a mark of their own, all commands of this machine."""
        return f"{self.home}:"

    @contextmanager
    def playing(self, repository: Path, playbook: Playbook) -> Iterator["Machine"]:
        """The same processes, with another repository and another model at the same address."""
        with Rehearsal(playbook, self.rehearsal.port) as rehearsal:
            yield replace(self, repository=repository, rehearsal=rehearsal)

    def kill(self, name: str) -> None:
        """SIGKILL one process; the supervisor starts it again."""
        pid = self.supervisor.pid(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


TIMING = Timing()
"""How patient the supervisors of these machines are."""


@asynccontextmanager
async def machine(
    home: Path,
    repository: Path,
    playbook: Playbook,
    *,
    agents: int = 8,
    heartbeat_s: int = 3,
    audit_s: int = 600,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Machine]:
    """Everything up; everything down afterwards, and nothing left running."""
    settings = load_settings(find_settings())
    port, ui_port = free_ports(2)
    server = settings.server.model_copy(update={"port": port, "ui_port": ui_port})
    with Rehearsal(playbook) as rehearsal:
        async with Supervisor(home, timing=TIMING) as supervisor:
            # The database that the server would write down at its end is thrown away.
            site = await start_service(supervisor, settings.model_copy(update={"server": server}), stop_s=0.0)
            ours: dict[str, str | None] = {
                name: None for name in os.environ if name.startswith(("HEADWAY_", "OPENAI_"))
            }
            ours |= {
                "OPENAI_BASE_URL": rehearsal.url,
                MARK: f"{home}:",
                "HEADWAY_HEARTBEAT_S": str(heartbeat_s),
                "HEADWAY_AUDIT_S": str(audit_s),
                **(env or {}),
            }
            await start_workers(supervisor, site, agents, ours)
            yield Machine(home, site.client, rehearsal, repository, supervisor, site.ui_url)
    for log in (home / "logs").glob("*.log"):
        assert "never retrieved" not in log.read_text(errors="replace"), f"{log} tells of a task that no code awaits"
    left = [p for p in psutil.Process().children(recursive=True) if str(home) in " ".join(_cmdline(p))]
    assert not left, f"left running: {left}"


@asynccontextmanager
async def shared_machine(folder: Path, **settings: Any) -> AsyncIterator[Machine]:
    """A machine for several tests, each of which begins with `playing` and leaves all processes alive."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patched:
        hide(patched)
        async with machine(home, folder, Playbook(name="none"), **settings) as site:
            site.rehearsal.stop()
            yield site


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
