"""The newest progress of a run, by its agents' logs."""

import os
from pathlib import Path
from typing import NamedTuple

import orjson

from headway.domain.stall import PROGRESS

TAIL = 256 * 1024
"""Bytes looked at from the end of a log; long strings lie next to it, so that hundreds of lines are in there."""
SHORT_TAIL = 8 * 1024
"""Bytes looked at first: most logs end with progress."""


class NewestProgress(NamedTuple):
    """Attributes:
    number: The sum of the agents' newest sequence numbers that are progress. Another number is news, whatever the
        clocks of their machines did meanwhile.
    at: Seconds since the epoch of the newest; 0 when there is none.
    """

    number: int
    at: float


def progress_in(logs: Path) -> NewestProgress:
    """The progress in all logs below `logs`."""
    found = [_newest(path) for path in logs.rglob("*.jsonl")]
    return NewestProgress(sum(each.number for each in found), max((each.at for each in found), default=0.0))


def _newest(path: Path) -> NewestProgress:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for tail in (SHORT_TAIL, TAIL):
            file.seek(max(0, size - tail))
            lines = file.read().split(b"\n")
            found = _newest_of(lines[1:] if size > tail else lines)
            if found is not None or size <= tail:
                break
    return found or NewestProgress(0, 0.0)


def _newest_of(lines: list[bytes]) -> NewestProgress | None:
    for line in reversed(lines):
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # half a line, which is being written or was when its writer died
        if event.get("type") in PROGRESS:
            return NewestProgress(event["seq"] + 1, float(event["ts"]))
    return None
