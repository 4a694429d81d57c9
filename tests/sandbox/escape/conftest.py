"""A machine in small: a state folder with its secrets, two agents, a service, and a process to hurt."""

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.sandbox.backends.backends import PINS, Backends
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command, CommandResult, Sandbox
from headway.sandbox.spec import SandboxSpec

KEY = "plum-pie-0815"
"""What no command may ever see."""

WALLED = PINS[:-1]


@dataclass
class Ground:
    """Where probes run: an agent's workspace, and all that it should not reach, named by variables."""

    folder: Path
    told: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place in (self.mine, self.other, self.hub / "objects", self.hub / "refs/heads", self.hub / "hooks"):
            place.mkdir(parents=True)
        for place in (self.state / "database", self.other / "notes", self.hub / "refs/heads/main"):
            place.write_text(f"{KEY}\n", encoding="ascii")
        (self.hub / "objects/one").write_text("an object\n", encoding="ascii")
        (self.folder / "outside").mkdir()
        self.told |= {
            "STATE": str(self.state),
            "OTHER": str(self.other),
            "HUB": str(self.hub),
            "OUTSIDE": str(self.folder / "outside"),
        }

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def mine(self) -> Path:
        """The agent's own workspace."""
        return self.state / "runs/one/workspaces/mine/files"

    @property
    def other(self) -> Path:
        """Another agent's."""
        return self.state / "runs/one/workspaces/other/files"

    @property
    def hub(self) -> Path:
        """The run's hub."""
        return self.state / "runs/one/hub.git"

    def command(self, line: str, **of_walls: Any) -> Command:
        """A command of the agent."""
        walls = {"agent": "one/mine", "workspace": self.mine, "readable": (self.hub / "objects",), **of_walls}
        return Command(line=line, cwd=self.mine, timeout_s=60.0, walls=SandboxSpec(**walls), env=self.told)

    async def run(self, sandbox: Sandbox, line: str, cwd: Path | None = None, **of_walls: Any) -> CommandResult:
        """What comes of it."""
        command = self.command(line, **of_walls)
        return await sandbox.run(replace(command, cwd=cwd or command.cwd))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """With a service on all addresses, two sockets, and a process that holds the key."""
    made = Ground(tmp_path_factory.mktemp("ground"))
    by_path, abstract = str(made.folder / "outside/socket"), f"\0headway-{os.getpid()}"
    with (
        socket.create_server(("", 0)) as service,
        socket.socket(socket.AF_UNIX) as one,
        socket.socket(socket.AF_UNIX) as two,
    ):
        for listening, address in ((one, by_path), (two, abstract)):
            listening.bind(address)
            listening.listen()
        made.told |= {"PORT": str(service.getsockname()[1]), "SOCKET": by_path, "ABSTRACT": abstract[1:]}
        yield made


@pytest.fixture
def victim(ground: Ground) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the same user, as a worker process or another agent's command would be."""
    marker = f"headway-victim-{os.getpid()}"
    env = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": KEY}
    with subprocess.Popen(["sh", "-c", "sleep 600; :", marker], env=env) as process:
        ground.told |= {"VICTIM": str(process.pid), "MARKER": marker}
        yield process
        process.kill()
        subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=False)


@pytest.fixture(scope="module")
def levels(ground: Ground) -> Iterator[Backends]:
    """What this machine has."""
    resources = Resources(Groups.detect())
    yield Backends((ground.state,), resources)
    resources.close()


def at(levels: Backends, pin: str) -> LocalSandbox:
    """The sandbox of a level, if this machine can put it up."""
    try:
        return levels.choose(allow_weak=True, pinned=pin)
    except UserError as lacking:
        pytest.skip(str(lacking).splitlines()[0])


@pytest.fixture(params=WALLED)
def walled(request: pytest.FixtureRequest, levels: Backends) -> LocalSandbox:
    """Each level that walls in."""
    return at(levels, request.param)


@pytest.fixture
def plain(levels: Backends) -> LocalSandbox:
    """No walls: where a probe that works shows that it would find a gap."""
    return at(levels, "plain")
