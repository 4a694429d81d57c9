"""A planner's turn at work: the part of the live line since the turn's start."""

from collections import deque
from typing import cast

from headway.domain.handoff import HandoffReport
from headway.domain.ids import AgentId, ChildKey, Oid
from headway.domain.planner_turn import Decision, Spawned
from headway.domain.results import Cancelled, Finished, Spawn
from headway.eventlog.events.conversation import LlmResponse, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.eventlog.events.life import HandedOff, TurnEnd, TurnStart
from headway.eventlog.events.work import Scratchpad

TURN_EVENTS = (TurnStart, TurnEnd, Message, Reminder, LlmResponse, ToolResult, Scratchpad, HandedOff)
"""Events after which a line is no longer the one of a history that ends before them."""

STEERS_CARRIED = 20
"""The user's newest messages, which a new epoch holds word for word."""

Place = tuple[AgentId, int]
"""A message of the user: its log, and its place there."""


class Turn:
    """Keeps the keys and places that the turn's events name, its report, and where the line stood before it.

    Args:
        key: The turn's key.
        from_seq: The place where the planner's history stands; -1 for its beginning.

    Attributes:
        start: The turn's start.
        before: The trunk commit that the newest earlier turn looked at.
        moved: The line is not the one of the planner's history: it must fork before the turn starts.
        asked: Children that the turn asked for.
        cancelled: Children that it took back, oldest first.
        told: Children whose handoff it was told.
        heard: Messages of the user that it was told.
        opened: It was told something.
        newest_message: The place of the newest message that it was told; -1 for none.
        finish: The report of its `finish`, and the place of that.
        newest: The place of the newest event of the line.
    """

    def __init__(self, key: str, from_seq: int) -> None:
        self._key = key
        self._from = from_seq
        self._stands = from_seq < 0
        self._goes_on = False
        self.start: Event[TurnStart] | None = None
        self.before: Oid | None = None
        self.asked: dict[ChildKey, Spawned] = {}
        self.cancelled: dict[ChildKey, None] = {}
        self.told: set[ChildKey] = set()
        self.heard: set[Place] = set()
        self.newest_message = self.newest = -1
        self.finish: tuple[HandoffReport, int] | None = None

    @property
    def moved(self) -> bool:
        return self._goes_on or not self._stands

    @property
    def opened(self) -> bool:
        return self.newest_message >= 0

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        self.newest = event.seq
        self._stands = self._stands or event.seq == self._from
        self._goes_on = self._goes_on or (event.seq > self._from and isinstance(event.body, TURN_EVENTS))
        if self.start is not None:
            self._take(event)
        elif isinstance(event.body, TurnStart):
            if event.body.key == self._key:
                self.start = cast(Event[TurnStart], event)
            else:
                self.before = event.body.pinned

    def _take(self, event: AnyEvent) -> None:
        match event.body:
            case ToolResult(result=Spawn(spawned=spawned)):
                for child in spawned:
                    self.asked.setdefault(child.key, child.at(event.seq))
            case ToolResult(result=Cancelled(cancelled=cancelled)):
                self.cancelled |= dict.fromkeys(cancelled)
            case ToolResult(result=Finished(decision="finish", report=HandoffReport() as report)):
                self.finish = report, event.seq
            case Message(inbox=inbox, steers=steers):
                self.told.update(notice.child for notice in inbox or ())
                self.heard.update(steers)
                self.newest_message = event.seq


class Rounds:
    """A planner's rounds that lead nowhere, and the user's word to it.

    Keeps two counts and the places of the user's newest messages.

    Attributes:
        undecided: Turns at the end of the line that used up their calls without a decision, since something was decided
            or told. A `wait` between them decides nothing: a planner that reads and waits in turn gets no further.
        told_of_few: The planner was told once of a round that was far too small.
        steers: Places of the user's newest messages to the planner, oldest first.
    """

    def __init__(self) -> None:
        self.undecided = 0
        self.told_of_few = False
        self.steers: deque[Place] = deque(maxlen=STEERS_CARRIED)

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case Message(inbox=inbox, steers=steers, few=few):
                self.told_of_few = self.told_of_few or few
                self.steers.extend(steers)
                if inbox or steers:
                    self.undecided = 0
            case TurnEnd(outcome=outcome):
                if outcome.spawned or outcome.cancelled or outcome.recovered:
                    self.undecided = 0
                elif outcome.decision is Decision.GO_ON:
                    self.undecided += 1
                elif outcome.decision is not Decision.WAIT:
                    self.undecided = 0
