"""The newest progress of a run, by its agents' logs."""

from typing import NamedTuple

from headway.domain.ids import RunName
from headway.domain.stall import PROGRESS
from headway.eventlog.events.types import BODIES
from headway.eventlog.store import LogStore

_KINDS = tuple(BODIES[name] for name in sorted(PROGRESS))


class NewestProgress(NamedTuple):
    """Attributes:
    number: The sum of the agents' newest sequence numbers that are progress. Another number is news, whatever the
        clocks of their machines did meanwhile.
    at: Seconds since the epoch of the newest; 0 when there is none.
    """

    number: int
    at: float


def progress_of(store: LogStore, run: RunName) -> NewestProgress:
    """The progress of a run. Each log is read from its end: most end with progress."""
    newest = [found for agent in store.agents(run) if (found := store.newest(agent, *_KINDS)) is not None]
    return NewestProgress(sum(event.seq + 1 for event in newest), max((event.ts for event in newest), default=0.0))
