"""Counts the failures in a row of each activity that have no named reason."""

import time
from collections.abc import Callable
from dataclasses import dataclass

BUG_TRIES = 20
"""Unnamed failures in a row, as one process sees them, after which an activity has failed for good."""
APART_S = 600.0
"""Failures further apart than this are not in a row: between them the attempt worked, or waited for its turn."""


@dataclass
class _Row:
    count: int
    last: float


class Tries:
    """Counts the unnamed failures in a row of each activity that this process sees.

    A worker's attempt is one activity that may last for days. A sum over its life would end it for faults that passed.

    Args:
        clock: Seconds; only differences count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}

    def failed(self, activity: str) -> bool:
        """Count one more failure. True when this was the last try."""
        now = self._clock()
        self._rows = {key: row for key, row in self._rows.items() if now - row.last <= APART_S}
        row = self._rows.setdefault(activity, _Row(0, now))
        row.count, row.last = row.count + 1, now
        if row.count < BUG_TRIES:
            return False
        del self._rows[activity]
        return True

    def ended(self, activity: str) -> None:
        """End the row: the activity succeeded, or failed for a named reason."""
        self._rows.pop(activity, None)
