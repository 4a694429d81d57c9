"""Events and what they say, with whatever a test does not care for filled in."""

from typing import Any

from headway.domain.handoff import Handoff, HandoffReport, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid, Role, RunName, parent_of, run_of
from headway.domain.planner_turn import ChildKind
from headway.domain.results import LandAnswer, Result, Spawn, SpawnedChild
from headway.domain.run import Outcome
from headway.domain.task import TaskSpec
from headway.eventlog.events.conversation import Call, Cost, LlmRequest, LlmResponse, LlmRetry, ToolResult
from headway.eventlog.events.envelope import LOG_VERSION, AnyEvent, BodyT, Event
from headway.eventlog.events.life import AgentStart, HandedOff, RunEnd
from headway.eventlog.events.work import LandedCommit

ROOT = AgentId("run/root-00000000")


def event(
    body: BodyT, seq: int = 0, *, epoch: int = 0, turn: int = 0, agent: AgentId = ROOT, role: Role = "planner"
) -> Event[BodyT]:
    """An event that says this."""
    return Event(
        v=LOG_VERSION,
        ts=float(seq),
        seq=seq,
        lease=1,
        run=run_of(agent),
        agent=agent,
        parent=parent_of(agent),
        role=role,
        task=None,
        epoch=epoch,
        turn=turn,
        type=body.type,
        dur_ms=None,
        body=body,
    )


def request(tokens: int | None = None, *, step: int = 1, model: str = "m") -> LlmRequest:
    """A model call that is about to be made, with so much set aside for it."""
    reserved = None if tokens is None else Cost(tokens=tokens, micro_usd=tokens)
    return LlmRequest(step=step, model=model, reserved=reserved)


def reply(text: str = "", *calls: Call, stop: str = "tool", step: int = 1, **more: Any) -> LlmResponse:
    """A model's reply."""
    return LlmResponse(step=step, stop=stop, text=text, calls=calls, **more)


def call(name: str = "shell", arguments: str = "{}", call_id: str = "c") -> Call:
    """A call of a tool in a reply."""
    return Call(id=call_id, name=name, arguments=arguments)


def retry(why: str = "", *, kind: str = "TransientError", **more: Any) -> LlmRetry:
    """A failed model call."""
    return LlmRetry(step=1, kind=kind, why=why, **more)


def answer(name: str = "shell", text: str = "", result: Result | None = None, **more: Any) -> ToolResult:
    """The answer to a call."""
    return ToolResult(**{"call_id": "c", "name": name, "text": text, "result": result, **more})


def spawn(*keys: str, titles: tuple[str, ...] = (), paths: tuple[str, ...] = ()) -> ToolResult:
    """The answer to `spawn_tasks`."""
    named = titles or keys
    children = [
        SpawnedChild(key=ChildKey(key), kind=ChildKind.TASK, title=key, item=item) for item, key in enumerate(keys)
    ]
    items = [TaskSpec(title=title, intent="Do it.", paths=paths) for title in named]
    return answer("spawn_tasks", result=Spawn(spawned=tuple(children), items=tuple(items)))


def started(attempt: int = 1, title: str = "t") -> AgentStart:
    """An attempt's beginning."""
    return AgentStart(attempt=attempt, title=title)


def landed(commit: str) -> LandedCommit:
    """A commit on the trunk."""
    return LandedCommit(commit=Oid(commit))


def handed_off(
    status: str = "done", summary: str = "", *, agent: AgentId = ROOT, title: str = "t", **more: Any
) -> HandedOff:
    """A handoff; `more` is of the event."""
    report = HandoffReport(status=HandoffStatus(status), summary=summary)
    return HandedOff(handoff=Handoff(agent=agent, title=title, report=report), **more)


def run_ended(outcome: Outcome = Outcome.DONE) -> RunEnd:
    """A run's end."""
    return RunEnd(run=RunName("run"), outcome=outcome, summary="", branch="", trunk=Oid(""), commits=0)


def conflicted(event: AnyEvent) -> bool:
    """True if an event is the answer to a landing that conflicted."""
    match event.body:
        case ToolResult(result=LandAnswer(landing="conflicted")):
            return True
        case _:
            return False
