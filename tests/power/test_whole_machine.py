"""The same with everything real: Temporal's service, its worker processes, overlays. Each copy starts and goes on."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from headway.agents.tools.catalogue import RESULTS
from headway.domain.ids import AgentId, RunName
from headway.eventlog.events.conversation import Reminder
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import AgentLease, HandedOff
from headway.eventlog.local_store import LocalStore
from headway.git.hub import Hub
from headway.host.service_settings import find_settings
from headway.rehearsal.host import Rehearsal
from headway.system.ports import free_ports
from tests.git.ground import make_repository
from tests.power.rig import Rig
from tests.support.disks import unmount
from tests.support.playbooks import flat

ROOT = Path(__file__).parent.parent.parent
TASKS = 10
AGENTS = 4
LOSSES = 50
COPIES = 8
"""Of one run, at most: it may end before."""
READY_S = 120.0
ENDED_S = 240.0


@dataclass
class Site:
    """A machine whose state folder lies on a disk that can lose its power."""

    rig: Rig
    place: Path
    rehearsal: Rehearsal
    port: int
    boots: int = 0
    run: RunName = field(default=RunName("losing"))

    @property
    def home(self) -> Path:
        return self.rig.at / "home"

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.home, results=RESULTS)

    def forget_what_was_published(self) -> None:
        """Give the user's repository the state that it had before a copy of the same run ended."""
        command = ["git", "branch", "-D", f"headway/{self.run}/main"]
        subprocess.run(command, cwd=self.place / "repository", capture_output=True, check=False)

    def answers(self) -> int:
        """Replies that lie in the logs."""
        agents = self.store.agents(self.run)
        return sum(event.type == "llm.response" for agent in agents for event in self.store.all_events(agent))

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Client]:
        """`headway up` under a boot id of its own; killed at the end, with all that it started."""
        self.boots += 1
        told, log = self.place / f"boot-{self.boots}", self.place / f"up-{self.boots}.log"
        told.write_text(f"00000000-0000-4000-8000-{self.boots:012d}\n")
        self.home.mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-m", "headway.cli.app", "up", "--agents", str(AGENTS)]
        command += ["--config", str(self.place / "mine.yaml"), "--allow-weak-sandbox"]
        shell = f'mount --bind {told} /proc/sys/kernel/random/boot_id && exec "$@"'
        env = os.environ | {
            "HOME": str(self.place),
            "PYTHONPATH": str(ROOT),
            "HEADWAY_HOME": str(self.home),
            "HEADWAY_HEARTBEAT_S": "5",
            "HEADWAY_SNAPSHOT_STEPS": "1",
            "OPENAI_BASE_URL": self.rehearsal.url,
            "HEADWAY_PLANNER_MODEL": "rehearsal",
            "HEADWAY_WORKER_MODEL": "rehearsal",
        }
        process = _begun(["unshare", "--mount", "sh", "-c", shell, "sh", *command], env, log)
        try:
            yield await self._client(process, log)
        finally:
            _kill_all(process)

    async def _client(self, process: "subprocess.Popen[bytes]", log: Path) -> Client:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            assert process.poll() is None, _read(log)
            try:
                address = f"127.0.0.1:{self.port}"
                client = await Client.connect(address, data_converter=pydantic_data_converter)
                if await client.service_client.check_health():
                    return client
            except (RuntimeError, RPCError):
                pass
            await asyncio.sleep(0.2)
        raise AssertionError(_read(log))

    async def end_of(self, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
        """The report of the run."""
        async with asyncio.timeout(ENDED_S):
            while True:
                try:
                    report: dict[str, Any] = await handle.result(rpc_timeout=None)
                except RPCError:
                    await asyncio.sleep(0.5)
                else:
                    return report


def _begun(command: list[str], env: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)


def _read(log: Path) -> str:
    return log.read_text(errors="replace")


def _kill_all(process: "subprocess.Popen[bytes]") -> None:
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family[1:], timeout=30)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    place = tmp_path / "place"
    place.mkdir()
    (place / ".gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    monkeypatch.setenv("HOME", str(place))
    make_repository(place / "repository", {"README.md": "hello\n"})
    settings = yaml.safe_load(find_settings().read_text())
    settings["server"]["port"], settings["server"]["ui_port"] = free_ports(2)
    (place / "mine.yaml").write_text(yaml.safe_dump(settings))
    playbook = flat("losing", TASKS).model_copy(update={"latency_ms": 300})
    with Rig(tmp_path / "rig") as rig, Rehearsal(playbook) as rehearsal:
        yield Site(rig, place, rehearsal, settings["server"]["port"])
        unmount(rig.at)


async def losses(site: Site, seed: int, count: int) -> tuple[int, int]:
    """So many losses in one run at most: how many there were, and how many tasks lost steps that no script repeats."""
    chance, taken = random.Random(seed), []
    site.run = RunName(f"losing-{seed}")
    before = site.rehearsal.requests
    async with site.up() as client:
        raw = {"repo": str(site.place / "repository"), "instructions": "Write the files."}
        handle = await client.start_workflow("Run", raw, id=site.run, task_queue="headway")
        while site.rehearsal.requests == before:
            assert (await handle.describe()).close_time is None
            await asyncio.sleep(0.05)
        for _ in range(count):
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            if (await handle.describe()).close_time is not None:
                break
            bought = site.rehearsal.requests - before
            taken.append((await asyncio.to_thread(site.rig.copy), bought))
    lost = 0
    for number, (image, bought) in enumerate(taken, 1):
        site.rig.insert(image)
        site.forget_what_was_published()
        lost += await _goes_on(site, bought, f"seed {seed}, copy {number}")
    return len(taken), lost


async def _goes_on(site: Site, bought: int, what: str) -> int:
    had, before = site.answers(), site.rehearsal.requests
    # A reply that was paid is on disk, but for the one that each agent at work, and the planner, waited for just then.
    assert bought - had <= AGENTS + 1, what
    async with site.up() as client:
        handle = client.get_workflow_handle(site.run)
        await site.end_of(handle)
        lost = _undone(site)
        trunk = Hub(site.store.run_folder(site.run) / "hub.git")
        there = set(trunk.repo.run("ls-tree", "-r", "--name-only", "refs/heads/main").text.split("\n"))
        wanted = {f"made/{number}.py" for number in range(TASKS) if number not in lost}
        assert wanted <= there, (what, sorted(wanted - there))
        assert len(lost) <= AGENTS, what
        trunk.repo.run("fsck", "--full", "--no-dangling")
        boots = {lease.boot for lease in bodies(site.store.all_events(AgentId(site.run)), AgentLease)}
        assert f"00000000-0000-4000-8000-{site.boots:012d}" in boots
        # What the copy held is not asked for again.
        assert site.rehearsal.requests - before == site.answers() - had, what
    return len(lost)


def _undone(site: Site) -> set[int]:
    """Numbers of the tasks that were told of steps which the crash took, and did not come to their end for it."""
    found = set()
    for agent in site.store.agents(site.run):
        events = site.store.read(agent)
        handoffs = [end.handoff for end in bodies(events, HandedOff)]
        rebuilt = any(reminder.why == "rebuilt" for reminder in bodies(events, Reminder))
        if rebuilt and handoffs and handoffs[-1].report.status != "done":
            found.add(int(handoffs[-1].title.rpartition(" ")[2]))
    return found


@pytest.mark.long
@pytest.mark.timeout(14_400)
async def test_a_machine_goes_on_after_50_power_losses(site: Site) -> None:
    done = seed = lost = 0
    while done < LOSSES:
        seed += 1
        if seed > 1:
            site.rig.fresh()
        count, more = await losses(site, seed, COPIES)
        done, lost = done + count, lost + more
        print(f"{done} power losses in {seed} runs; {lost} tasks lost a step that their script does not repeat")
    assert lost <= done
