"""The figures of a run that goes on, summed from its agents' logs: every event counts as soon as it is written."""

import threading
import time
from collections import deque
from collections.abc import Callable

import orjson

from headway.domain.errors import HeldBack, Parked
from headway.domain.figures import AgentFigures, Figures, Happened, Now, RunFigures, total, with_totals
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Role, RunName, child_id
from headway.domain.results import LandAnswer, Spawn
from headway.domain.task import TaskSpec
from headway.eventlog.blobs import APART
from headway.eventlog.events.conversation import Call, LlmRequest, LlmResponse, LlmRetry, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentFork, AgentStart, HandedOff, RunEnd, TurnEnd, TurnStart
from headway.eventlog.events.work import BudgetAsked, LandedCommit, ResourceWait
from headway.eventlog.store import LogStore, Tail
from headway.eventlog.views.active_time import work_ms
from headway.eventlog.views.paid import Paid

WHAT_CHARS = 200
EVENTS_KEPT = 6
"""Events of one agent that are remembered to be shown."""
THE_SERVER = "the model server"
TELLING = ("command", "path", "pattern", "message", "rev", "scope", "status", "id")
"""Arguments of tool calls by which a person recognises the call, the most telling first."""


def figures_of(store: LogStore, run: RunName) -> RunFigures:
    """The figures of a run. A run without logs has used up nothing."""
    return FiguresReader(store, run).look()


class FiguresReader:
    """Reads the logs of one run again and again, of each log only the part since the last look.

    Safe for threads. It takes no lock of the logs and never writes.
    """

    def __init__(self, store: LogStore, run: RunName, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._run = run
        self._clock = clock
        self._read: dict[AgentId, tuple[Tail, _AgentView]] = {}
        self._lock = threading.Lock()

    def look(self) -> RunFigures:
        """The figures as the logs tell them now."""
        with self._lock:
            self._read = {agent: self._caught_up(agent) for agent in self._store.agents(self._run)}
            return self._summed()

    def _caught_up(self, agent: AgentId) -> "tuple[Tail, _AgentView]":
        tail, fold = self._read.get(agent) or (self._store.tail(agent), _AgentView())
        return tail, tail.catch_up(fold, _AgentView)

    def _summed(self) -> RunFigures:
        titles: dict[AgentId, str] = {}
        agents: dict[AgentId, AgentFigures] = {}
        began_at = ended_at = 0.0
        for agent, (_, fold) in self._read.items():
            if agent == AgentId(self._run):
                began_at, ended_at = fold.began_at, fold.ended_at
                continue
            agents[agent] = fold.figures(agent)
            titles |= {child_id(agent, key): title for key, title in fold.children.items()}
        agents = {
            agent: each if each.title else each.model_copy(update={"title": titles.get(agent, "")})
            for agent, each in agents.items()
        }
        roles = dict.fromkeys(each.role for each in agents.values())
        return RunFigures(
            run=self._run,
            at=self._clock(),
            agents=with_totals(agents),
            total=total([each.own for each in agents.values()]),
            by_role={role: total([each.own for each in agents.values() if each.role == role]) for role in roles},
            began_at=began_at,
            ended_at=ended_at,
        )


class _AgentView:
    """The figures of one log, folded one event at a time."""

    def __init__(self) -> None:
        self.children: dict[ChildKey, str] = {}
        self._figures: AgentFigures | None = None
        self.began_at = self.ended_at = 0.0
        self._paid = Paid()
        self._role: Role = "worker"
        self._title = ""
        self._began = False
        self._attempt = 0
        self._active_s = 0.0
        self._landed: set[str] = set()
        self._since = 0.0
        self._status: HandoffStatus | None = None
        self._doing, self._what = "starts", ""
        self._model = ""
        self._calls: dict[str, str] = {}
        self._failed, self._why, self._conflicts = 0, "", 0
        self._conflicted = 0
        self._events: deque[Happened] = deque(maxlen=EVENTS_KEPT)

    def figures(self, agent: AgentId) -> AgentFigures:
        """The agent as its log tells of it; `total` is its own. Of thousands few change between two looks."""
        self._figures = self._figures or self._made(agent)
        return self._figures

    def _made(self, agent: AgentId) -> AgentFigures:
        tasks = int(self._began and self._role == "worker")
        own = Figures(
            spent=self._paid.settled.model_copy(update={"tasks": tasks}),
            reserved=self._paid.reserved,
            calls=self._paid.calls,
            commits=len(self._landed),
            conflicts=self._conflicted,
            active_s=self._active_s,
        )
        now = Now.model_validate(
            {
                "doing": self._doing,
                "what": self._what,
                "since": self._since,
                "failed_calls": self._failed,
                "why": self._why,
                "conflicts": self._conflicts,
            }
        )
        return AgentFigures(
            agent=agent,
            role=self._role,
            title=self._title,
            own=own,
            total=own,
            attempt=self._attempt,
            status=self._status,
            now=now,
            began_at=self.began_at,
            events=tuple(self._events),
        )

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event, from any branch of the log."""
        self._figures = None
        self.began_at = self.began_at or event.ts
        self._role = event.role
        self._active_s += work_ms(event) / 1000
        self._paid.apply(event)
        self._take_happened(event)
        self._take_now(event)
        match event.body:
            case AgentStart(attempt=attempt, title=title):
                self._began, self._attempt = True, attempt
                self._title, self._status = _line(title), None
            case LandedCommit(commit=commit):
                self._landed.add(commit)
            case ToolResult(result=LandAnswer() as landing):
                self._conflicts = landing.rounds if landing.landing == "conflicted" else 0
            case ToolResult(result=Spawn(spawned=spawned, items=items)):
                for asked, item in zip(spawned, items, strict=False):
                    self.children[asked.key] = (isinstance(item, TaskSpec) and _line(item.title)) or _line(asked.title)
            case HandedOff(handoff=handoff, retry=retry):
                self._status = None if retry else handoff.report.status
            case RunEnd():
                self.ended_at = event.ts

    def _take_happened(self, event: AnyEvent) -> None:
        """Before `_take_now`: a landing's message is that of the call which its result ends."""
        match event.body:
            case ToolResult(result=LandAnswer(landing="landed"), call_id=call_id):
                message = self._calls.get(call_id, "").partition(" ")[2]
                self._events.append(Happened(at=event.ts, kind="landed", what=message))
            case ToolResult(result=LandAnswer(landing="conflicted", paths=paths)):
                self._conflicted += 1
                self._events.append(Happened(at=event.ts, kind="conflict", what=_line(", ".join(paths))))
            case AgentStart(attempt=attempt) if attempt > 1:
                self._events.append(Happened(at=event.ts, kind="attempt", what=str(attempt)))
            case HandedOff(handoff=handoff):
                summary = _line(handoff.report.summary)
                self._events.append(Happened(at=event.ts, kind=handoff.report.status, what=summary))

    def _take_now(self, event: AnyEvent) -> None:
        before = self._doing, self._what
        match event.body:
            case LlmRequest() | ResourceWait() | LlmRetry():
                self._take_model_call(event.ts, event.body)
            case LlmResponse(calls=calls):
                self._failed, self._why = 0, ""
                self._calls = {call.id: _call(call) for call in calls}
                self._next_call()
            case ToolResult(call_id=call_id):
                self._calls.pop(call_id, None)
                self._next_call()
                self._since = event.ts
            case AgentStart() | TurnStart() | AgentFork():
                self._calls = {}
                self._doing, self._what = "works", ""
            case BudgetAsked():
                self._doing, self._what = "queues", ""
            case TurnEnd():
                self._doing, self._what = "rests", ""
            case HandedOff(handoff=handoff):
                self._doing, self._what = "ended", _line(handoff.report.summary)
        waits_on = before[0] == self._doing == "waits"
        if before != (self._doing, self._what) and not waits_on:
            self._since = event.ts

    def _take_model_call(self, at: float, body: LlmRequest | ResourceWait | LlmRetry) -> None:
        """A call that has no answer, at least yet. One that only waited did not fail."""
        match body:
            case LlmRequest(model=model):
                self._doing, self._what = "thinks", _line(model)
                self._model, self._since = self._what, at
            case ResourceWait(over=True):
                self._doing, self._what = "thinks", self._model
            case ResourceWait(resource=resource, why=why):
                self._doing, self._what = "waits", _line(f"{resource}: {why}")
            case LlmRetry(
                kind=Parked.__name__, why=why
            ):  # its activity has ended, and begins anew when the way may be free
                self._doing, self._what = "waits", _line(f"{THE_SERVER}: {why}")
            case LlmRetry(kind=kind, why=why):
                self._doing, self._what = "works", ""
                if kind != HeldBack.__name__:
                    self._failed, self._why = self._failed + 1, _line(why)

    def _next_call(self) -> None:
        self._doing, self._what = ("runs", next(iter(self._calls.values()))) if self._calls else ("works", "")


def _call(call: Call) -> str:
    """A tool call in a line: its name and its most telling argument."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = {}
    told = (arguments.get(name) for name in TELLING) if isinstance(arguments, dict) else ()
    return _line(f"{call.name} {next((each for each in told if isinstance(each, str)), '')}")


def _line(text: str) -> str:
    """A text in one line, cut; empty where it lies in another file."""
    return "" if text == APART else " ".join(text.split())[:WHAT_CHARS].rstrip()
