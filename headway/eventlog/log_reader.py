"""Reading the places of a log of any length: its live line, its newest epoch, and the holder that wrote it."""

from array import array
from dataclasses import dataclass

from headway.eventlog.branch import NO_EVENT, Branch
from headway.eventlog.codec import lines_of, places_in


@dataclass(frozen=True)
class Places:
    """The places of a log.

    Attributes:
        count: Events in the file.
        end: Byte after the last of them.
        lease: The newest lease.
        head: The last live event.
        epoch: The newest epoch of the live line.
        epoch_at: Place and byte of that epoch's first event.
        abandoned: Places of events that are not live because of a fork.
    """

    count: int
    end: int
    lease: int
    head: int
    epoch: int
    epoch_at: tuple[int, int]
    abandoned: frozenset[int]


def read_places(fd: int) -> Places:
    """Read a log without what its events say."""
    tree, starts, epochs = Branch(), array("q"), array("q")
    end = lease = 0
    forked = False
    for place in places_in(lines_of(fd)):
        tree.add(place.seq, place.type, place.to)
        starts.append(place.start)
        epochs.append(place.epoch)
        end, lease, forked = place.end, max(lease, place.lease), forked or place.to is not None
    live = tree.seqs(tree.head)
    epoch = max((epochs[seq] for seq in live), default=0)
    first = next((seq for seq in live if epochs[seq] == epoch), len(starts))
    at = (first, starts[first] if first < len(starts) else end)
    abandoned = frozenset(range(len(starts))).difference(live) if forked else frozenset()
    return Places(len(starts), end, lease, tree.head, epoch, at, abandoned)


def head_of(fd: int, seq: int) -> int:
    """The last live event as things stood after event `seq`."""
    if seq == NO_EVENT:
        return NO_EVENT
    tree = Branch()
    for place in places_in(lines_of(fd)):
        tree.add(place.seq, place.type, place.to)
    return tree.head_at(seq)
