"""What follows from a log's events alone: pure functions, for whoever holds the events."""

from collections.abc import Iterable, Sequence

from headway.domain.events import Event

NO_EVENT = -1
"""The place before the first event."""

OUTSIDE_THE_LINE = frozenset({"agent.lease", "agent.fork"})
"""Events that say who writes, and where the line goes on; they are no part of the live line themselves."""


class Line:
    """Which events of a log are live, after each of them.

    A log is append-only, and a fork goes back to an earlier place of it, also to one in a suffix that was abandoned. So
    the events form a tree: each live event knows the one before it, and every place knows the head of the line there.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._before: list[int] = []
        self._heads: list[int] = []
        for event in events:
            self.add(event)

    @property
    def head(self) -> int:
        """The last live event."""
        return self._heads[-1] if self._heads else NO_EVENT

    def add(self, event: Event) -> None:
        """Take in the next event of the log."""
        self._before.append(self.head)
        if event.type == "agent.fork":
            self._heads.append(self.head_at(event.data["to"]))
        elif event.type in OUTSIDE_THE_LINE:
            self._heads.append(self.head)
        else:
            self._heads.append(event.seq)

    def head_at(self, seq: int) -> int:
        """The last live event as things stood after event `seq`."""
        return NO_EVENT if seq == NO_EVENT else self._heads[seq]

    def seqs(self, head: int) -> list[int]:
        """The live line that ends with `head`."""
        seqs = []
        while head != NO_EVENT:
            seqs.append(head)
            head = self._before[head]
        return seqs[::-1]


def live_line(events: Sequence[Event]) -> list[Event]:
    """The live line of a log, given its events from the first one on, in physical order."""
    line = Line(events)
    return [events[seq] for seq in line.seqs(line.head)]


def active_seconds(events: Iterable[Event]) -> float:
    """How long an agent was at work, in seconds: its model calls and commands; never queues, pauses or downtime."""
    return sum(event.dur_ms for event in events if event.dur_ms is not None and _is_work(event)) / 1000


def _is_work(event: Event) -> bool:
    if event.type == "tool.result":
        return bool(event.data.get("name") == "shell")
    return event.type == "llm.response"
