"""The live line of a log that forks."""

from array import array
from collections.abc import Iterable

from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentFork

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
            self.add(event.seq, event.type, event.body.to if isinstance(event.body, AgentFork) else None)

    @property
    def head(self) -> int:
        """The last live event."""
        return self._heads[-1] if self._heads else NO_EVENT

    def add(self, seq: int, type: str, to: int | None = None) -> None:  # noqa: A002  # the envelope's own word
        """Take in the next event of the log; `to` is the place that a fork goes back to."""
        self._before.append(self.head)
        if to is not None:
            self._heads.append(self.head_at(to))
        elif type in OUTSIDE_THE_LINE:
            self._heads.append(self.head)
        else:
            self._heads.append(seq)

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
