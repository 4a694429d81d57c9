"""The remains of a run, read from its logs: the user's input, its root planner's notes, every agent's handoff."""

from dataclasses import dataclass

from headway.domain.handoff import Handoff
from headway.domain.ids import AgentId, Oid, RunName, parent_of
from headway.domain.spec import RunSpec
from headway.eventlog.events.envelope import Event
from headway.eventlog.events.life import HandedOff, RunEnd, RunStart
from headway.eventlog.events.work import Scratchpad
from headway.eventlog.store import LogStore


@dataclass(frozen=True)
class RunSummary:
    """A run as its logs tell it.

    Attributes:
        spec: Its input, with the author that it committed under.
        base: The commit that it started from.
        outcome: Its outcome by its own word; empty when it wrote no report.
        scratchpad: The root planner's notes as it last wrote them; empty when it wrote none.
        handoffs: The newest handoff of every agent that has one, root planners first.
    """

    spec: RunSpec
    base: Oid
    outcome: str
    scratchpad: str
    handoffs: tuple[Handoff, ...]


def left_by(store: LogStore, run: RunName) -> RunSummary | None:
    """Everything that the logs on this machine say of a run; None when there are none, or it never began."""
    start, end = store.newest(AgentId(run), RunStart), store.newest(AgentId(run), RunEnd)
    if start is None:
        return None
    agents = [agent for agent in store.agents(run) if agent != AgentId(run)]
    ends: dict[AgentId, Event[HandedOff] | None] = {}
    newest_root = -1.0
    notes: Event[Scratchpad] | None = None
    for agent in agents:  # from their ends: the logs of a long run are larger than memory
        ends[agent] = store.newest(agent, HandedOff)
        last = store.last(agent) if parent_of(agent) == AgentId(run) else None
        # A root planner that failed may have been followed by another one.
        if last is not None and last.ts >= newest_root:
            newest_root, notes = last.ts, store.newest(agent, Scratchpad)
    first = sorted(agents, key=lambda agent: parent_of(agent) != AgentId(run))
    handoffs = [said.body.handoff for agent in first if (said := ends[agent]) is not None]
    return RunSummary(
        spec=start.body.spec,
        base=start.body.base,
        outcome=str(end.body.outcome) if end is not None else "",
        scratchpad=notes.body.content if notes is not None else "",
        handoffs=tuple(handoffs),
    )
