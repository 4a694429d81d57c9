"""What a run left behind, read from its logs: what it was asked, its root planner's notes, every agent's handoff."""

from collections.abc import Iterable
from dataclasses import dataclass

from headway.domain.events import Event, EventType
from headway.domain.handoff import Handoff
from headway.domain.ids import AgentId, Oid, RunName, parent_of
from headway.domain.spec import RunSpec
from headway.trace.log_store import LogStore


@dataclass(frozen=True)
class Leftover:
    """A run as its logs tell it.

    Attributes:
        spec: What it was asked, with the author that it committed under.
        base: The commit that it started from.
        outcome: How it ended by its own word; empty when it wrote no report.
        scratchpad: The root planner's notes as it last wrote them; empty when it wrote none.
        handoffs: The newest handoff of every agent that has one, root planners first.
    """

    spec: RunSpec
    base: Oid
    outcome: str
    scratchpad: str
    handoffs: tuple[Handoff, ...]


def left_by(store: LogStore, run: RunName) -> Leftover | None:
    """Everything that the logs on this machine say of a run; None when there are none, or it never began."""
    own = store.read(AgentId(run))
    start, end = _newest(own, "run.start"), _newest(own, "run.end")
    if start is None:
        return None
    agents = [agent for agent in store.agents(run) if agent != AgentId(run)]
    lines = {agent: store.read(agent) for agent in agents}
    ends = {agent: _newest(line, "handoff") for agent, line in lines.items()}
    # A root planner that failed may have been followed by another one.
    roots = sorted((line[-1].ts, agent) for agent, line in lines.items() if line and parent_of(agent) == AgentId(run))
    notes = _newest(lines[roots[-1][1]], "scratchpad") if roots else None
    first = sorted(agents, key=lambda agent: parent_of(agent) != AgentId(run))
    handoffs = [Handoff.model_validate(said.data["handoff"]) for agent in first if (said := ends[agent]) is not None]
    return Leftover(
        spec=RunSpec.model_validate(start.data["spec"]),
        base=Oid(start.data["base"]),
        outcome=str(end.data["outcome"]) if end is not None else "",
        scratchpad=str(notes.data["content"]) if notes is not None else "",
        handoffs=tuple(handoffs),
    )


def _newest(line: Iterable[Event], kind: EventType) -> Event | None:
    found = [event for event in line if event.type == kind]
    return found[-1] if found else None
