"""The bytes of a log: how an event becomes a line, and which lines of a file count."""

from typing import Any, NamedTuple

import orjson

from headway.domain.errors import UserError
from headway.domain.events import LOG_VERSION, Event
from headway.trace.blobs import Blobs, has_blobs


class Scan(NamedTuple):
    """The events of a log, and the byte where the last of them ends; what follows was never wholly written."""

    events: list[Event]
    end: int


def encode(event: Event, blobs: Blobs) -> bytes:
    """One line; long strings are stored as blobs first."""
    # Event is flat, so its own dict is what model_dump would build, at a fraction of the cost.
    return orjson.dumps(event.__dict__ | {"data": blobs.outsource(event.data)}) + b"\n"


def scan(content: bytes, blobs: Blobs, *, first: int = 0) -> Scan:
    """Read lines up to the first one that is no event.

    Everything from there on was written after the last sync, so that nothing was promised of it: after a crash of the
    machine a file may end in half a line, in zeros, or in lines with a hole before them.

    Args:
        content: Bytes of the log that start with a line.
        blobs: Where its long strings lie.
        first: The place of that line in the log.
    """
    events: list[Event] = []
    end = 0
    while (newline := content.find(b"\n", end)) >= 0:
        event = _decode(content[end:newline], first + len(events), blobs)
        if event is None:
            break
        events.append(event)
        end = newline + 1
    return Scan(events, end)


def line_at(content: bytes, seq: int, blobs: Blobs) -> Event | None:
    """The event at one place, without reading the others as JSON."""
    lines = content.split(b"\n", seq + 1)
    return _decode(lines[seq], seq, blobs) if len(lines) > seq + 1 else None


def _decode(line: bytes, seq: int, blobs: Blobs) -> Event | None:
    try:
        fields: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("seq") != seq or not isinstance(fields.get("lease"), int):
        return None
    if fields.get("v", 0) > LOG_VERSION:
        raise UserError(
            f"{fields.get('agent')}: this log was written by a newer version of Headway",
            "Use that version, or a HEADWAY_HOME of its own for this one.",
        )
    if has_blobs(line):
        fields["data"] = blobs.resolve(fields["data"])
    # Only `encode` writes these lines, from events that were typed: a second validation of each would cost more than
    # reading it.
    return Event.model_construct(**fields)
