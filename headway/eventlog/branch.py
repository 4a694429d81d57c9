"""Facts that follow from a log's events alone: pure functions, for callers that hold the events."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headway.domain.results import Result
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentFork
from headway.eventlog.events.talk import LlmResponse, ToolResult

NO_EVENT = -1
"""The place before the first event."""

OUTSIDE_THE_LINE = frozenset({"agent.lease", "agent.fork"})
"""Events of the log's holder and of forks. They are no part of the live line themselves."""


class Branch:
    """The live events of a log, after each of its events.

    A log is append-only, and a fork goes back to an earlier place of it, also to one in a suffix that was abandoned. So
    the events form a tree: each live event knows the one before it, and every place knows the head of the line there.

    Args:
        events: The first ones of the log.
        first: The place of the first event, when the log is read from its middle on; the part before it counts as no
            event.
    """

    def __init__(self, events: Iterable[AnyEvent] = (), *, first: int = 0) -> None:
        self._first = first
        self._before = array("q")
        self._heads = array("q")
        for event in events:
            self.add(event)

    @property
    def head(self) -> int:
        """The last live event."""
        return self._heads[-1] if self._heads else NO_EVENT

    def add(self, event: AnyEvent) -> None:
        """Take in the next event of the log."""
        self._before.append(self.head)
        if isinstance(event.body, AgentFork):
            self._heads.append(self.head_at(event.body.to))
        elif event.type in OUTSIDE_THE_LINE:
            self._heads.append(self.head)
        else:
            self._heads.append(event.seq)

    def head_at(self, seq: int) -> int:
        """The last live event as things stood after event `seq`."""
        return NO_EVENT if seq < self._first else self._heads[seq - self._first]

    def seqs(self, head: int) -> list[int]:
        """The live line that ends with `head`."""
        seqs = []
        while head != NO_EVENT:
            seqs.append(head)
            head = self._before[head - self._first]
        return seqs[::-1]


def active_seconds(events: Iterable[AnyEvent]) -> float:
    """Active time of an agent in seconds: its model calls and commands; never queues, pauses or downtime."""
    return sum(work_ms(event) for event in events) / 1000


def work_ms(event: AnyEvent) -> float:
    """The milliseconds for which an event kept its agent at work."""
    if event.dur_ms is None:
        return 0.0
    match event.body:
        case LlmResponse():
            return event.dur_ms
        case ToolResult(result=Result(active=True)):
            return event.dur_ms
        case _:
            return 0.0


@dataclass
class ActiveTime:
    """Active time of an agent since some event of its log, and the number of its model's replies.

    Attributes:
        since: Sequence number of that event.
    """

    since: int = 0
    replies: int = 0
    active_s: float = 0.0

    def take(self, event: AnyEvent) -> None:
        """Count the next event of the live line."""
        if event.seq >= self.since:
            self.replies += isinstance(event.body, LlmResponse)
            self.active_s += work_ms(event) / 1000

    def counting(self, events: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
        """Let events through, counted: a long log is read once for all its readers."""
        for event in events:
            self.take(event)
            yield event
