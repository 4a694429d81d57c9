"""Opening a log of any length: what stays in memory of it is said by whoever works with it."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headway.domain.events import Event
from headway.trace.blobs import Blobs
from headway.trace.fold import NO_EVENT, Line
from headway.trace.lines import events_in, lines_of

REPLY = "llm.response"
"""What the model said last, and all that came after it, is always there whole: an agent goes on from it."""


class Recall(Protocol):
    """What is kept in memory of events that lie before the model's newest reply.

    Attributes:
        newest_only: Types of which only the newest event is kept.
    """

    newest_only: frozenset[str]

    def __call__(self, event: Event) -> Event | None:
        """The event, or what is to be kept of it; None drops it."""
        ...


@dataclass(frozen=True)
class ReadLog:
    """A log as it was read.

    Attributes:
        count: Events in the file.
        end: Byte after the last of them.
        lease: The newest lease.
        head: The last live event.
        line: The live line, as recalled.
        fresh: From which place of `line` on it is whole.
        epoch: The newest epoch of the live line.
        epoch_at: Place and byte of that epoch's first event.
    """

    count: int
    end: int
    lease: int
    head: int
    line: list[Event]
    fresh: int
    epoch: int
    epoch_at: tuple[int, int]


def read_log(fd: int, blobs: Blobs, recall: Recall | None) -> ReadLog:
    """Read a whole log, one event at a time; without `recall` everything is kept."""
    tree, kept = Line(), dict[int, Event]()
    starts, epochs, replies = array("q"), array("q"), array("q")
    end = lease = 0
    for found in events_in(lines_of(fd)):
        event = found.event
        tree.add(event)
        starts.append(found.start)
        epochs.append(event.epoch)
        end, lease = found.end, max(lease, event.lease)
        if event.type == REPLY:
            replies.append(event.seq)
        left = event if recall is None else recall(event)
        if left is not None:
            kept[event.seq] = found._replace(event=left).resolved(blobs)
    live = tree.seqs(tree.head)
    alive = set(live)
    reply = next((seq for seq in reversed(replies) if seq in alive), 0)
    line = [kept[seq] for seq in live if seq < reply and seq in kept]
    line = line if recall is None else _newest_only(line, recall)
    fresh = len(line)
    line += [kept[seq] if recall is None else _whole(fd, starts[seq], seq, blobs) for seq in live if seq >= reply]
    epoch = max((epochs[seq] for seq in live), default=0)
    first = next((seq for seq in live if epochs[seq] == epoch), len(starts))
    at = (first, starts[first] if first < len(starts) else end)
    return ReadLog(len(starts), end, lease, tree.head, line, fresh, epoch, at)


def settled(line: list[Event], fresh: int, recall: Recall) -> list[Event]:
    """The line once a new reply has come: what was whole until then is recalled."""
    older = [left for event in line[fresh:-1] if (left := recall(event)) is not None]
    return [*_newest_only([*line[:fresh], *older], recall), line[-1]]


def _newest_only(line: Sequence[Event], recall: Recall) -> list[Event]:
    newest = {event.type: event.seq for event in line if event.type in recall.newest_only}
    return [event for event in line if newest.get(event.type, event.seq) == event.seq]


def _whole(fd: int, start: int, seq: int, blobs: Blobs) -> Event:
    found = next(events_in(lines_of(fd, start), first=seq))
    return found.resolved(blobs)


def head_of(fd: int, seq: int) -> int:
    """The last live event as things stood after event `seq`."""
    tree = Line(found.event for found in events_in(lines_of(fd)))
    return NO_EVENT if seq == NO_EVENT else tree.head_at(seq)
