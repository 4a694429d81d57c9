"""What agents are measured on: a run with one empty repository, a worker that is ours, and a bare loop beside it."""

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from benchmarks.agent_model import TEXT
from headway.agents.tools.catalogue import RESULTS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.ids import AgentId, ChildKey, Incarnation, RunName, child_id, root_planner_id
from headway.domain.limit_table import Limits
from headway.domain.messages import WorkOrder
from headway.domain.planner_turn import ChildKind
from headway.domain.refs import Ref
from headway.domain.results import Spawn, SpawnedChild
from headway.domain.run import RunContext
from headway.domain.spec import Commit, RunSpec
from headway.domain.state.budget import UNLIMITED, Amount
from headway.domain.task import TaskSpec
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.life import RunStart
from headway.eventlog.local_store import LocalStore
from headway.git.hub import Hub
from headway.git.workspace.workspaces import Workspaces
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.roles import ModelRoles
from headway.sandbox.runner import Command, CommandResult
from prompts.prompts import Prompts

RUN = RunName("bench")
INCARNATION = Incarnation("0a1b2c3d")
ROOT = root_planner_id(RUN, INCARNATION)
FILES = {"notes.txt": "one\n"}
AUTHOR = "Bench Mark <bench@example.org>"
SAID = 520
"""Bytes of one reply in a request."""


@dataclass
class Instant:
    """A sandbox whose commands cost nothing; notes the process's CPU time at each of them."""

    output: str
    level: str = "instant"
    not_enforced: tuple[str, ...] = ()
    refuses_network: str = ""
    cpu_s: list[float] = field(default_factory=list)

    async def run(self, command: Command, *, full_output: Path | None = None) -> CommandResult:
        """One command."""
        self.cpu_s.append(time.process_time())
        size = len(self.output)
        return CommandResult(0, 0.001, output=self.output, output_cut=False, output_bytes=size)


def asking(key: ChildKey, task: TaskSpec) -> ToolResult:
    """The answer to a call that asked for one task."""
    asked = Spawn(spawned=(SpawnedChild(key=key, kind=ChildKind.TASK, title=task.title),), items=(task,))
    return ToolResult(call_id="x", name="spawn_tasks", text="", result=asked)


class Ground:
    """A run in a folder, and workers on it."""

    def __init__(self, folder: Path, files: Mapping[str, str] = FILES) -> None:
        self.folder = folder
        source = folder / "source"
        git = ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.org", "-C", str(source)]
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", source], check=True)
        for name, text in files.items():
            (source / name).write_text(text)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message=First"], check=True)
        self.store = LocalStore(folder / "state", results=RESULTS)
        self.store.claim(RUN, INCARNATION)
        self.hub = Hub(self.store.run_folder(RUN) / "hub.git")
        base = self.hub.prepare(str(source), None).base
        limits = Limits(tokens="none", task_tokens="none", task_minutes="none", hours="none")
        spec = RunSpec(repo=str(source), instructions="Read.", commit=Commit(author=AUTHOR), limits=limits)
        with self.store.open(AgentId(RUN), role="run") as log:
            start = log.append(RunStart(spec=spec), sync=True)
        self.context = RunContext(
            run=RUN, incarnation=INCARNATION, spec=Ref(log=AgentId(RUN), seq=start.seq), base=base
        )

    def order(self, number: int) -> WorkOrder:
        """A task to read something."""
        task = TaskSpec(title=f"Read part {number}", intent="It is to be known.", kind="investigate")
        key = ChildKey(f"1.{number}-{number:08x}")
        with self.store.open(ROOT, role="planner") as log:
            event = log.append(asking(key, task))
        me = child_id(ROOT, key)
        ref = Ref(log=ROOT, seq=event.seq, item=0)
        everything = Amount(tokens=UNLIMITED, tasks=1)
        return WorkOrder(context=self.context, me=me, task=ref, title=task.title, granted=everything)

    async def work(self, url: str, steps: int, step_bytes: int, number: int) -> list[float]:
        """CPU time of this process at each step of one of our workers."""
        sandbox = Instant("x" * (step_bytes - SAID))
        gates = CircuitBreakers(self.folder / "model")
        model = Model(endpoint_at(url), gates)
        try:
            places = Workspaces(self.store.run_folder(RUN) / "workspaces", self.hub)
            models = ModelRoles(model, {"worker": f"steps-{steps}"})
            args = (self.store, lambda _: self.hub, lambda _: places, sandbox, models, Prompts.load())
            await WorkerAgent(*args, time.time, tools=WORKER_TOOLS).work(self.order(number), lambda _: None)
        finally:
            await model.close()
            gates.close()
        return sandbox.cpu_s


async def bare(url: str, steps: int, step_bytes: int, first: int) -> list[float]:
    """The same for the loop that everybody would write first, from step `first` on."""
    told: list[float] = []
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    messages, tools = bare_messages(first, step_bytes), bare_tools()
    for step in range(first, steps):
        completion = await client.chat.completions.create(
            model=f"steps-{steps}", messages=messages, tools=tools, extra_headers={"x-headway-step": str(step)}
        )
        message = completion.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "x" * (step_bytes - SAID)})
        told.append(time.process_time())
    await client.close()
    return told


def bare_messages(steps: int, step_bytes: int) -> list[Any]:
    """A conversation as the client's own guide keeps it."""
    messages: list[Any] = [
        {"role": "system", "content": Prompts.load().render("worker")},
        {"role": "user", "content": "Read."},
    ]
    for step in range(steps):
        call = {"name": "shell", "arguments": json.dumps({"command": f"sed -n {step}p notes.txt"})}
        calls = [{"id": f"call_{step:08}", "type": "function", "function": call}]
        messages.append({"role": "assistant", "content": f"{step:06} {TEXT}", "tool_calls": calls})
        text = f"{step:06}" + "x" * (step_bytes - SAID - 6)
        messages.append({"role": "tool", "tool_call_id": f"call_{step:08}", "content": text})
    return messages


def bare_tools() -> list[Any]:
    """The tools of our worker, as the client takes them."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in WORKER_TOOLS["replace"].schemas
    ]


def endpoint_at(url: str) -> Endpoint:
    """The model's server, with a window that nothing here fills."""
    return Endpoint(base_url=url, window=4_000_000)
