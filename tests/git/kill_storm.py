"""Agents that edit, snapshot, commit, land and remove, each in a process that is killed at random moments.

An agent notes in a journal what it has done, after it was done. Whatever the journals say must be found again: a file
that was written stands in the workspace, on the trunk or in a snapshot; a landing that was acknowledged is on the
trunk, and no submission is there twice.
"""

import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any

import psutil

from headway.git import maintenance
from headway.git.landing.landing import Conflicted, Landed, LandingRefused, NothingToLand
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, allowed, git, task, write

SHARED = "shared.txt"
_MARKER = re.compile(r"^(<{7} |\|{7} |={7}$|>{7} )")


class Journal:
    """What an agent has done, one JSON line each; a line that a kill tore is none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, what: str, **more: object) -> None:
        """Note one thing."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, json.dumps({"what": what, **more}).encode() + b"\n")
        finally:
            os.close(handle)

    def all(self, what: str) -> list[dict[str, Any]]:
        """Everything of one kind."""
        lines = self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []
        return [noted for noted in map(json.loads, lines) if noted["what"] == what]


@dataclass
class Agent:
    """One agent through all its deaths."""

    ground: Ground
    number: int
    journal: Journal
    lease: int = 0
    pid: int = 0
    dies_at: float = 0.0

    def start(self, lives_s: float) -> None:
        """Begin anew, with a newer lease."""
        self.lease += 1
        self.dies_at = time.monotonic() + lives_s
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._work()
            except BaseException:  # noqa: BLE001 - a child must not go on as a test run
                traceback.print_exc(file=sys.stderr)
            os._exit(1)

    def kill(self, *, also_git: bool) -> str:
        """Kill it; returns what it was at."""
        victims = []
        with suppress(psutil.NoSuchProcess):
            victims = psutil.Process(self.pid).children(recursive=True) if also_git else []
        os.kill(self.pid, signal.SIGKILL)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        pid, self.pid = self.pid, 0
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == -signal.SIGKILL, f"agent {self.number} failed by itself, at {self._phase()}"
        return self._phase()

    def _phase(self) -> str:
        phases = self.journal.all("at")
        return str(phases[-1]["phase"]) if phases else "start"

    def _at(self, phase: str) -> None:
        self.journal.note("at", phase=phase)

    def _work(self) -> None:
        self._at("open")
        attempt = 1 + len(self.journal.all("removed"))
        workspace = self.ground.workspaces.open(task(self.number), attempt, self.lease)
        self.resolve(workspace)
        number = len(self.journal.all("wrote"))
        while True:
            number += 1
            self._at("edit")
            self._edit(workspace, number)
            if number % 3 == 0:
                self._at("snapshot")
                snapshot(self.ground.hub, workspace, workspace.task, allowed)
            if number % 2 == 0:
                self._at("commit")
                git(workspace.path, "add", "--all", check=False)
                git(workspace.path, "commit", "--quiet", "--message=Mine", check=False)
            if number % 4 != 1:
                self._at("land")
                self.land(workspace, number)
            if number % 5 == 0:
                self._at("remove")
                snapshot(self.ground.hub, workspace, workspace.task, allowed)
                self.ground.workspaces.remove(workspace)
                self.journal.note("removed")
                attempt += 1
                self._at("open")
                workspace = self.ground.workspaces.open(task(self.number), attempt, self.lease)

    def _edit(self, workspace: Workspace, number: int) -> None:
        name = f"own/{self.number}-{self.lease}-{number}.txt"
        write(workspace.path, {name: f"{name}\n"})
        self.journal.note("wrote", path=name)
        if number % 3 == 0:
            line = f"{self.number}-{self.lease}-{number}"
            shared = workspace.path / SHARED
            before = shared.read_text() if shared.exists() else ""
            # Written whole or not at all, as edit tools do.
            made = workspace.path / f"{SHARED}.{self.lease}.log"
            made.write_text(f"{before}{line}\n")
            made.replace(shared)
            self.journal.note("line", text=line)

    def land(self, workspace: Workspace, number: int) -> None:
        """Land, and land again after each conflict."""
        for attempt in range(20):
            asked = self.ground.ask(workspace, "Work", place=f"{workspace.task}:{self.lease}-{number}-{attempt}")
            shared = workspace.path / SHARED
            lines = shared.read_text().splitlines() if shared.exists() else []
            outcome = self.ground.landing.land(workspace, asked, allowed)
            match outcome:
                case Landed():
                    mine = [line for line in lines if line.startswith(f"{self.number}-")]
                    self.journal.note("landed", commit=outcome.commit, lines=mine)
                    self.resolve(workspace)
                    return
                case NothingToLand():
                    return
                case Conflicted() | LandingRefused(doubtful=False):
                    # Refused is what still holds markers, such as those of a landing that a kill cut short.
                    self.resolve(workspace)
                case _:
                    raise AssertionError(outcome)
        raise AssertionError("never landed")

    def resolve(self, workspace: Workspace) -> None:
        """Both sides of a conflict stay."""
        shared = workspace.path / SHARED
        lines = shared.read_text().splitlines() if shared.exists() else []
        if any(_MARKER.match(line) for line in lines):
            kept = dict.fromkeys(line for line in lines if not _MARKER.match(line))
            made = workspace.path / f"{SHARED}.{self.lease}.log"
            made.write_text("".join(f"{line}\n" for line in kept))
            made.replace(shared)


@dataclass
class Storm:
    """Kills among agents of one run."""

    ground: Ground
    agents: list[Agent]
    seed: int
    phases: Counter[str] = field(default_factory=Counter)

    @classmethod
    def gather(cls, ground: Ground, folder: Path, agents: int, seed: int) -> "Storm":
        """As many agents."""
        folder.mkdir()
        found = [Agent(ground, number, Journal(folder / f"{number}.jsonl")) for number in range(agents)]
        return cls(ground, found, seed)

    def rage(self, kills: int, check_every: int = 100) -> None:
        """Kill so often, and look every now and then whether everything is there."""
        try:
            self._rage(kills, check_every)
        finally:
            for agent in self.agents:
                if agent.pid:
                    os.kill(agent.pid, signal.SIGKILL)

    def _rage(self, kills: int, check_every: int) -> None:
        dice = random.Random(self.seed)
        lives_s = 1.5
        for agent in self.agents:
            agent.start(dice.uniform(0, lives_s))
        packer = 0
        for number in range(1, kills + 1):
            agent = min(self.agents, key=lambda each: each.dies_at)
            time.sleep(max(0.0, agent.dies_at - time.monotonic()))
            self.phases[agent.kill(also_git=dice.random() < 0.5)] += 1
            if number % 10 == 0:
                packer = self._pack_and_kill(packer)
            if number % check_every == 0:
                self._rest()
                packer = self._killed(packer)
                self.check()
                for each in self.agents:
                    each.start(dice.uniform(0, lives_s))
            else:
                agent.start(dice.uniform(0, lives_s))
        self._rest()
        self._killed(packer)
        self.check()

    def _killed(self, packer: int) -> int:
        if packer:
            with suppress(ProcessLookupError):
                os.kill(packer, signal.SIGKILL)
            os.waitpid(packer, 0)
        return 0

    def _pack_and_kill(self, packer: int) -> int:
        self._killed(packer)
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                maintenance.tidy(self.ground.hub.folder)
            os._exit(0)
        return pid

    def _rest(self) -> None:
        for agent in self.agents:
            if agent.pid:
                agent.kill(also_git=True)

    def check(self) -> None:
        """Everything that the journals say is there; nothing is there twice; nothing stands in the way."""
        hub = self.ground.hub
        spaces = {}
        for agent in self.agents:
            agent.lease += 1
            attempt = 1 + len(agent.journal.all("removed"))
            spaces[agent.number] = self.ground.workspaces.open(task(agent.number), attempt, agent.lease)
            with spaces[agent.number].held():
                # What was left half done by a kill is finished by whoever comes next.
                pass
            agent.resolve(spaces[agent.number])
        kept = git(hub.folder, "rev-list", "--objects", "--all").splitlines()
        reachable = {line.partition(" ")[0] for line in kept}
        versions = [line.partition(" ")[0] for line in kept if line.endswith(f" {SHARED}")]
        texts = "\n".join(git(hub.folder, "cat-file", "blob", version) for version in versions).splitlines()
        commits = git(hub.folder, "rev-list", "refs/heads/main").splitlines()
        for agent in self.agents:
            files = spaces[agent.number].path
            here = (files / SHARED).read_text().splitlines() if (files / SHARED).exists() else []
            for noted in agent.journal.all("wrote"):
                content = f"{noted['path']}\n"
                blob = sha1(f"blob {len(content)}\0{content}".encode()).hexdigest()
                place = files / noted["path"]
                assert blob in reachable or (place.exists() and place.read_text() == content), noted
            for noted in agent.journal.all("line"):
                assert noted["text"] in {*texts, *here}, noted
            landed = agent.journal.all("landed")
            assert {noted["commit"] for noted in landed} <= set(commits)
            trunk = set(self.ground.on_trunk(SHARED).decode().splitlines()) if versions else set()
            assert {line for noted in landed for line in noted["lines"]} <= trunk
        marks = git(
            hub.folder, "log", "--format=%(trailers:key=Headway-Submission,valueonly)", "refs/heads/main"
        ).split()
        assert len(marks) == len(set(marks))
        self._nothing_stands_in_the_way(spaces)
        self.ground.check_whole()

    def _nothing_stands_in_the_way(self, spaces: dict[int, Workspace]) -> None:
        """What killed gits left locked is cleared by whoever needs it next, and then there is none."""
        for agent in self.agents:
            name = f"own/{agent.number}-{agent.lease}-after.txt"
            write(spaces[agent.number].path, {name: f"{name}\n"})
            agent.journal.note("wrote", path=name)
            assert snapshot(self.ground.hub, spaces[agent.number], task(agent.number), allowed) is not None
            agent.land(spaces[agent.number], 0)
        assert maintenance.tidy(self.ground.hub.folder)
        assert [*self.ground.hub.folder.rglob("*.lock")] == []
