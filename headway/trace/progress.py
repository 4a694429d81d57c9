"""When something was last achieved in a run, by its agents' logs."""

import os
from pathlib import Path

import orjson

from headway.domain.quiet import PROGRESS

TAIL = 256 * 1024
"""Bytes looked at from the end of a log; long strings lie beside it, so that hundreds of lines are in there."""


def last_progress(logs: Path) -> float:
    """Seconds since the epoch of the newest progress in any log below `logs`; 0 when there is none.

    A log that nobody wrote to since the newest progress found so far is not opened.
    """
    found = 0.0
    changed = sorted(((path.stat().st_mtime, path) for path in logs.rglob("*.jsonl")), reverse=True)
    for written, path in changed:
        if written < found:
            break
        found = max(found, _newest(path))
    return found


def _newest(path: Path) -> float:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        lines = file.read().split(b"\n")
    for line in reversed(lines[1:] if size > TAIL else lines):
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # half a line, which is being written or was when its writer died
        if event.get("type") in PROGRESS:
            return float(event["ts"])
    return 0.0
