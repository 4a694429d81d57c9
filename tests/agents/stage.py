"""What the tests of loops stand on: the real log store, git and sandbox, and a rehearsal over real HTTP."""

import itertools
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from headway.agents.handoff_store import HandoffStore
from headway.agents.planner.planner import PlannerAgent
from headway.agents.tools.catalogue import PLANNER_TOOLS, RESULTS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.handoff import Handoff, HandoffNotice, HandoffReport, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Incarnation, RunName, child_id, root_planner_id
from headway.domain.limit_table import Limits
from headway.domain.messages import StoreHandoff, WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import ChildKind, PlanTurn, TurnOutcome
from headway.domain.refs import Ref
from headway.domain.results import Spawn, SpawnedChild
from headway.domain.run import RunContext
from headway.domain.spec import Commit, RunSpec
from headway.domain.state.budget import Amount
from headway.domain.task import Scope, TaskSpec
from headway.eventlog.events.conversation import Message, Reminder, Text, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import HandedOff, RunStart
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import NOTHING_SECRET, Redact
from headway.git.hub import Hub
from headway.git.workspace.workspaces import Workspaces
from headway.models.client import Model
from headway.models.endpoint import Api, Endpoint
from headway.models.roles import AgentRole, ModelRoles
from headway.models.spending import Spending
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, ToolUse
from prompts.prompts import Prompts
from tests.support.events import answer
from tests.support.sandboxes import PlainSandbox

RUN = RunName("tidy-up")
INCARNATION = Incarnation("0a1b2c3d")
ROOT = root_planner_id(RUN, INCARNATION)
PLENTY = 10_000_000
FILES = {"README.md": "hello\n", "AGENTS.md": "Use tabs.\n", "src/app.py": "a = 1\nb = 2\nc = 3\n"}


def use(name: str, **args: Any) -> ToolUse:
    """One tool call."""
    return ToolUse(name=name, args=args)


def step(*tools: ToolUse, text: str = "Next.", **more: Any) -> Step:
    """One reply."""
    return Step(text=text, tools=tools, **more)


def say(text: str) -> Step:
    """A reply without a call."""
    return Step(text=text)


def finish(summary: str = "It is done.", status: str = "done", *, after_handoffs: int = 0, **report: Any) -> Step:
    """The reply that ends an agent."""
    return step(use("finish", status=status, summary=summary, **report), after_handoffs=after_handoffs)


def git(folder: Path, *args: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class Stage:
    """One run. `serve` puts a playbook behind the model's address; each agent is made anew for each call."""

    folder: Path
    limits: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    api: Api = "chat"
    endpoint: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    spending: Spending | None = None
    state: Path | None = None
    redact: Redact = NOTHING_SECRET

    def __post_init__(self) -> None:
        source = self.folder / "source"
        if not source.exists():
            self._make(source)
        self.source = source
        self.store = LocalStore(self.state or self.folder / "state", self.redact, RESULTS)
        self.store.claim(RUN, INCARNATION)
        self.hub = Hub(self.store.run_folder(RUN) / "hub.git")
        self.base = self.hub.prepare(str(source), None).base
        self.places = Workspaces(self.store.run_folder(RUN) / "workspaces", self.hub)
        self.rehearsals: list[Rehearsal] = []
        self.models: list[Model] = []
        self.turns = itertools.count(1)
        self.beats: list[str] = []
        self._prompts = Prompts.load()
        self._context = cache(self._begin)

    def _make(self, source: Path) -> None:
        source.mkdir()
        git(source, "init", "--quiet", "--initial-branch=main")
        for name, content in (FILES | self.files).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content)
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--message=First commit")

    def _begin(self) -> RunContext:
        spec = RunSpec(
            repo=str(self.source),
            instructions="Make it tidy.\nAll of it.",
            commit=Commit(author="Bob Author <bob@example.org>"),
            limits=Limits(**self.limits),
            **{"policy": {"root_tasks_per_round": (1, 100)}} | self.more,
        )
        with self.store.open(AgentId(RUN), role="run") as log:
            text = log.append(Text(instructions=spec.instructions))
            start = log.append(RunStart(spec=spec), sync=True)
        self.scope = Ref(log=AgentId(RUN), seq=text.seq)
        return RunContext(
            run=RUN,
            incarnation=INCARNATION,
            spec=Ref(log=AgentId(RUN), seq=start.seq),
            base=self.base,
            deadline=self.deadline,
            has_check=spec.check is not None,
        )

    @property
    def context(self) -> RunContext:
        """The run's frozen facts; made, with the spec, when first asked for."""
        return self._context()

    def serve(self, *, root: Sequence[Step] = (), tasks: dict[str, Sequence[Step]] | None = None) -> Rehearsal:
        """A model that says this from now on."""
        planners = (PlannerScript(scope="root", calls=tuple(root)),) if root else ()
        scripts = tuple(TaskScript(title=title, calls=tuple(calls)) for title, calls in (tasks or {}).items())
        return self.serve_playbook(Playbook(name="stage", planners=planners, tasks=scripts))

    def serve_playbook(self, playbook: Playbook) -> Rehearsal:
        """A model that plays this from now on."""
        rehearsal = Rehearsal(playbook)
        rehearsal.start()
        self.rehearsals.append(rehearsal)
        self.listen_to(rehearsal.url)
        return rehearsal

    def listen_to(self, url: str) -> None:
        """The model is at this address from now on."""
        self.models.append(Model(Endpoint(base_url=url, api=self.api, **self.endpoint)))

    @property
    def chosen(self) -> ModelRoles:
        """The newest model, for both roles."""
        names: dict[AgentRole, str] = {"planner": "rehearsal", "worker": "rehearsal"}
        return ModelRoles(self.models[-1], names, spending=self.spending)

    async def close(self) -> None:
        """Close connections and servers."""
        for model in self.models:
            await model.close()
        for rehearsal in self.rehearsals:
            rehearsal.stop()

    # Planner

    def turn_order(self, key: str, from_seq: int = -1, **more: Any) -> PlanTurn:
        """The argument of a root planner's turn."""
        given = {
            "context": self.context,
            "me": ROOT,
            "key": key,
            "turn": 1,
            "from_seq": from_seq,
            "scope": self.scope,
            "depth": 1,
            "allowance": Amount(tokens=PLENTY),
            "balance": Amount(tokens=PLENTY, tasks=100),
            "spawnable": 100,
            "may_delegate": True,
        }
        return PlanTurn(**given | more)

    async def turn(self, key: str, from_seq: int = -1, **more: Any) -> TurnOutcome:
        """Take a root planner's turn."""
        agent = PlannerAgent(self.store, lambda _: self.hub, self.chosen, self._prompts, time.time, tools=PLANNER_TOOLS)
        return await agent.turn(self.turn_order(key, from_seq, **more), self.beats.append)

    def handed_off(
        self, key: ChildKey, status: HandoffStatus = HandoffStatus.DONE, summary: str = "Did it.", **more: Any
    ) -> HandoffNotice:
        """A child's handoff, stored as the child would have."""
        child = child_id(ROOT, key)
        handoff = Handoff(agent=child, title="A task", report=HandoffReport(status=status, summary=summary, **more))
        with self.store.open(child, role="worker", task=child) as log:
            event = log.append(HandedOff(handoff=handoff), sync=True)
        return HandoffNotice(child=key, status=status, seq=event.seq)

    def say_as_user(self, text: str) -> int:
        """A message of the user in the run's log; its place there."""
        with self.store.open(AgentId(RUN), role="run") as log:
            return log.append(Text(text=text), sync=True).seq

    def in_run_log(self, seq: int) -> Ref:
        """A place in the run's log."""
        return Ref(log=AgentId(RUN), seq=seq)

    # Worker

    def task(self, title: str = "Write a file", number: int = 0, **more: Any) -> WorkOrder:
        """The order for a task, asked for by the root planner."""
        task = TaskSpec(title=title, intent="So that it is there.", **more)
        key = ChildKey(f"1.{number}-{number:08x}")
        asked = SpawnedChild(key=key, kind=ChildKind.TASK, title=title)
        with self.store.open(ROOT, role="planner") as log:
            event = log.append(answer("spawn_tasks", result=Spawn(spawned=(asked,), items=(task,))))
        me = child_id(ROOT, key)
        ref = Ref(log=ROOT, seq=event.seq, item=0)
        return WorkOrder(context=self.context, me=me, task=ref, title=title, granted=Amount(tokens=PLENTY, tasks=1))

    def worker(self, clock: Callable[[], float] | None = None) -> WorkerAgent:
        """A worker process's agent."""
        args = (self.store, lambda _: self.hub, lambda _: self.places, PlainSandbox(), self.chosen, self._prompts)
        return WorkerAgent(*args, clock or time.time, tools=WORKER_TOOLS)

    async def work(self, order: WorkOrder) -> WorkerDone | WorkerSuspended:
        """Work on a task."""
        return await self.worker().work(order, self.beats.append)

    async def done(self, order: WorkOrder) -> tuple[WorkerDone, Handoff]:
        """Work on a task to its handoff."""
        outcome = await self.work(order)
        assert isinstance(outcome, WorkerDone)
        return outcome, self.handoff(outcome.ref)

    def handoff(self, ref: Ref) -> Handoff:
        """A stored handoff."""
        return self.store.said(ref, HandedOff).handoff

    async def store_handoff(self, **fields: Any) -> Any:
        """Store a handoff as the activity does."""
        return await HandoffStore(self.store, lambda _: self.hub).store(StoreHandoff(context=self.context, **fields))

    # What there is to see

    def log(self, agent: AgentId) -> list[AnyEvent]:
        """Every event of an agent."""
        return self.store.all_events(agent)

    def texts(self, agent: AgentId, *types: str) -> list[str]:
        """The texts of an agent's messages, reminders or tool answers."""
        said = (event.body for event in self.store.read(agent) if event.type in types)
        return [body.text for body in said if isinstance(body, Message | Reminder | ToolResult)]

    def on_trunk(self, path: str) -> str:
        """A file as the trunk has it."""
        return self.hub.read_file("HEAD", path).decode()

    def scope_of(self, **fields: Any) -> Scope:
        """A sub-planner's scope."""
        return Scope(**fields)
