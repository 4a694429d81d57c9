"""Facts of a demo, from the agents' logs: the landings that conflicted, and the agents that went on after the kill."""

from dataclasses import dataclass
from pathlib import Path

from headway.cli.agent_tools import results
from headway.domain.headings import task_of
from headway.domain.ids import AgentId, RunName
from headway.domain.results import LandAnswer
from headway.eventlog.events.conversation import Message, ToolResult
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import LogStore


@dataclass(frozen=True)
class SeenConflict:
    """A landing that was handed back to its worker."""

    title: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class DemoFacts:
    """Read from the logs, not from the script.

    Attributes:
        resumed: Workers that a second process took over from their logs.
    """

    conflicts: tuple[SeenConflict, ...]
    resumed: int


def facts_of(home: Path, run: RunName) -> DemoFacts:
    """Everything that the run's logs say of conflicts and of resumed agents."""
    store = LocalStore(home, results=results())
    conflicts: list[SeenConflict] = []
    resumed = 0
    for agent in store.agents(run):
        conflicts += _conflicts(store, agent)
        # A planner's lease rises with every turn; a worker's only when someone takes over.
        resumed += any(event.lease > 1 and event.role == "worker" for event in store.read(agent))
    return DemoFacts(tuple(conflicts), resumed)


def _conflicts(store: LogStore, agent: AgentId) -> list[SeenConflict]:
    title, found = "", []
    for event in store.read(agent):
        match event.body:
            case Message(text=text) if not title:
                asked = task_of(text)
                title = asked[0] if asked else ""
            case ToolResult(result=LandAnswer(landing="conflicted", paths=paths)):
                found.append(SeenConflict(title, paths))
    return found
