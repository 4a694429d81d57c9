"""Reading a log of any length from its beginning: its live line, of which each event states its kept part."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from headway.domain.retention import Keep
from headway.eventlog.blobs import Blobs
from headway.eventlog.branch import NO_EVENT, Branch
from headway.eventlog.codec import Codec, lines_of
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentFork
from headway.eventlog.events.talk import LlmResponse


@dataclass(frozen=True)
class ReadLog:
    """A log as it was read.

    Attributes:
        count: Events in the file.
        end: Byte after the last of them.
        lease: The newest lease.
        head: The last live event.
        line: The live line; before its newest reply only the kept parts.
        fresh: From which place of `line` on it is whole.
        epoch: The newest epoch of the live line.
        epoch_at: Place and byte of that epoch's first event.
        abandoned: Places of events that a fork abandoned.
    """

    count: int
    end: int
    lease: int
    head: int
    line: list[AnyEvent]
    fresh: int
    epoch: int
    epoch_at: tuple[int, int]
    abandoned: frozenset[int]


def read_log(fd: int, codec: Codec, blobs: Blobs, *, whole: bool) -> ReadLog:
    """Read a log, one event at a time; with `whole` everything is kept.

    The model's newest reply, and all events after it, are always there whole: an agent goes on from them.
    """
    tree, kept = Branch(), dict[int, AnyEvent]()
    starts, epochs, replies = array("q"), array("q"), array("q")
    end = lease = 0
    forked = False
    for found in codec.events_in(lines_of(fd)):
        event = found.event
        tree.add(event)
        starts.append(found.start)
        epochs.append(event.epoch)
        end, lease = found.end, max(lease, event.lease)
        forked = forked or isinstance(event.body, AgentFork)
        if isinstance(event.body, LlmResponse):
            replies.append(event.seq)
        if whole or event.body.keep is not Keep.DROP:
            left = found.resolved(blobs) if whole else found.resolved(blobs).kept()
            if left is not None:
                kept[event.seq] = left
    live = tree.seqs(tree.head)
    alive = set(live)
    reply = next((seq for seq in reversed(replies) if seq in alive), 0)
    line = [kept[seq] for seq in live if seq < reply and seq in kept]
    line = line if whole else _newest_only(line)
    fresh = len(line)
    line += [kept[seq] if whole else _whole(fd, starts[seq], seq, codec, blobs) for seq in live if seq >= reply]
    epoch = max((epochs[seq] for seq in live), default=0)
    first = next((seq for seq in live if epochs[seq] == epoch), len(starts))
    at = (first, starts[first] if first < len(starts) else end)
    abandoned = frozenset(range(len(starts))) - alive if forked else frozenset()
    return ReadLog(len(starts), end, lease, tree.head, line, fresh, epoch, at, abandoned)


def settled(line: Sequence[AnyEvent], fresh: int) -> list[AnyEvent]:
    """The line once a new reply has come: of events that were whole until then, the kept part."""
    older = [left for event in line[fresh:-1] if (left := event.kept()) is not None]
    return [*_newest_only([*line[:fresh], *older]), line[-1]]


def _newest_only(line: Sequence[AnyEvent]) -> list[AnyEvent]:
    newest = {event.type: event.seq for event in line if event.body.keep is Keep.NEWEST}
    return [event for event in line if newest.get(event.type, event.seq) == event.seq]


def _whole(fd: int, start: int, seq: int, codec: Codec, blobs: Blobs) -> AnyEvent:
    found = next(codec.events_in(lines_of(fd, start), first=seq))
    return found.resolved(blobs)


def head_of(fd: int, codec: Codec, seq: int) -> int:
    """The last live event as things stood after event `seq`."""
    tree = Branch(found.event for found in codec.events_in(lines_of(fd)))
    return NO_EVENT if seq == NO_EVENT else tree.head_at(seq)
