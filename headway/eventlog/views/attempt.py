"""A worker's attempt at its task, and the marks of earlier ones."""

from dataclasses import dataclass
from typing import cast

from headway.domain.ids import Oid
from headway.domain.results import Finished, LandAnswer
from headway.eventlog.events.conversation import Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.eventlog.events.life import AgentStart, AgentState, HandedOff
from headway.eventlog.events.work import LandedCommit, SnapshotKept

NAMES_KEPT = 100


@dataclass(frozen=True)
class Earlier:
    """An earlier attempt, with the newest snapshot of its changes."""

    said: HandedOff
    kept: Oid | None


class AttemptRecord:
    """Takes the live line of an agent's log.

    Keeps the handoffs of attempts, the outputs of `setup`, and the commits that the agent landed and kept.

    Args:
        number: The attempt's number.

    Attributes:
        start: The attempt's start.
        title: The title of the newest attempt; empty where none has begun.
        ended: The newest handoff of this attempt, or of a later one.
        earlier: The ends of attempts before it.
        claimed: Every commit that the log says has landed, oldest first.
        landed: Those of this attempt.
        kept: The newest snapshot that the log names.
        kept_here: The newest one of this attempt.
        setup: The newest run of `setup` in this attempt, by the files it ran in.
        reminded: Reasons of the reminders of this attempt.
        boots: Boots of the machine after which the agent was told that its workspace was rebuilt.
        bounced: The agent was told the facts against its `finish`.
        landing: The newest answer of `land` in this attempt.
        called: Names of the tools that answered, at most `NAMES_KEPT`.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.start: Event[AgentStart] | None = None
        self.title = ""
        self.ended: Event[HandedOff] | None = None
        self.earlier: list[Earlier] = []
        self.claimed: dict[Oid, None] = {}
        self.landed: list[Oid] = []
        self.kept: Oid | None = None
        self.kept_here: Oid | None = None
        self.setup: dict[str, AgentState] = {}
        self.reminded: set[str] = set()
        self.boots: set[str] = set()
        self.bounced = False
        self.landing: LandAnswer | None = None
        self.called: set[str] = set()

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case AgentStart(attempt=number, title=title):
                self.title = title
                if number == self._number and self.start is None:
                    self.start = cast(Event[AgentStart], event)
            case HandedOff(attempt=number) as said:
                if number >= self._number:
                    self.ended = cast(Event[HandedOff], event)
                else:
                    self.earlier.append(Earlier(said, self.kept))
            case LandedCommit(commit=commit):
                self.claimed[commit] = None
                self.landed += [commit] if self.start else []
            case SnapshotKept(commit=commit):
                self.kept = commit
                self.kept_here = commit if self.start else None
            case _ if self.start is not None:
                self._take(event)

    def _take(self, event: AnyEvent) -> None:
        match event.body:
            case AgentState(setup=str() as name) as ran:
                self.setup[name] = ran
            case Reminder(why=why, boot=boot):
                self.reminded.add(why)
                self.boots |= {boot} if boot else set()
            case ToolResult(name=name, result=result):
                if len(self.called) < NAMES_KEPT:
                    self.called.add(name)
                if isinstance(result, LandAnswer):
                    self.landing = result
                self.bounced = self.bounced or (isinstance(result, Finished) and result.bounced)
