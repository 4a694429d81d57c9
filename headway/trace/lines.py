"""The bytes of a log: how an event becomes a line, and which lines of a file count."""

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from headway.domain.errors import UserError
from headway.domain.events import DEFAULTS, LOG_VERSION, Event
from headway.trace.blobs import Blobs, has_blobs, has_long
from headway.trace.fold import OUTSIDE_THE_LINE

_REPEATED = ("run", "agent", "parent", "role", "task", "type")

CHUNK = 1 << 20
"""Bytes that are read at once: a log may be larger than what there is of memory for it."""

FIRST_CHUNK = 1 << 13
"""Bytes that are read first from the end of a log: most questions are answered by its last lines."""


class Found(NamedTuple):
    """An event of a file.

    Attributes:
        event: Its long strings are place holders where `has_blobs`; `resolved` puts them in.
        start: Byte where its line begins.
        end: Byte after its line.
    """

    event: Event
    start: int
    end: int
    has_blobs: bool

    def resolved(self, blobs: Blobs) -> Event:
        """The event as it was written."""
        return with_blobs(self.event, blobs) if self.has_blobs else self.event


def encode(event: Event, blobs: Blobs, *, inline: bool = False) -> bytes:
    """One line; long strings are stored as blobs first, but for `inline`, where they stand in the line."""
    # Event is flat, so its own dict is what model_dump would build, at a fraction of the cost.
    if not has_long(event.data):  # a long text is never written twice, which would hold the interpreter's lock
        line = orjson.dumps(event.__dict__)
        if not has_blobs(line):
            return line + b"\n"
    return orjson.dumps(event.__dict__ | {"data": blobs.outsource(event.data, inline=inline)}) + b"\n"


def with_blobs(event: Event, blobs: Blobs) -> Event:
    """The event with its long strings in place."""
    return event.model_copy(update={"data": blobs.resolve(event.data)})


def lines_of(fd: int, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file from byte `start` on, with the byte where each begins; one chunk in memory at a time.

    The position of the file is not used, so that threads cannot disturb each other.
    """
    rest, at = b"", start
    while part := os.pread(fd, CHUNK, at + len(rest)):
        pieces = (rest + part).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            yield at, piece
            at += len(piece) + 1


def lines_back(fd: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file from its end to its beginning, with the byte where each begins."""
    at, rest, chunk = os.fstat(fd).st_size, b"", FIRST_CHUNK
    whole = False  # what comes after the last line feed is half a line
    while at > 0:
        size = min(chunk, at)
        at, chunk = at - size, min(4 * chunk, CHUNK)
        pieces = (os.pread(fd, size, at) + rest).split(b"\n")
        starts = list(itertools.accumulate((len(piece) + 1 for piece in pieces), initial=at))
        for start, piece in zip(starts[-2:0:-1], pieces[:0:-1], strict=True):
            if whole:
                yield start, piece
            whole = True
        rest = pieces[0]
    if whole:
        yield 0, rest


def events_back(fd: int) -> Iterator[Found]:
    """The live events of a log, the newest first. Nothing is read before it is asked for.

    Half a line at the end is left out. A hole that a crash of the machine left in what was not synced is found when the
    reader comes to it: what lies after it has been given then, and does not count.
    """
    next_seq: int | None = None
    newest: int | None = None
    for at, line in lines_back(fd):
        event = _decode(line, next_seq)
        if event is None:
            next_seq = None
            event = _decode(line, None)
        if event is None:
            continue
        next_seq = event.seq - 1
        if newest is not None and event.seq > newest:
            continue
        if event.type == "agent.fork":
            newest = int(event.data["to"])
        elif event.type not in OUTSIDE_THE_LINE:
            yield Found(event, at, at + len(line) + 1, has_blobs(line))


def events_in(lines: Iterable[tuple[int, bytes]], *, first: int = 0) -> Iterator[Found]:
    """The events of a log's lines, up to the first line that is none.

    Everything from there on was written after the last sync, so that nothing was promised of it: after a crash of the
    machine a file may end in half a line, in zeros, or in lines with a hole before them.

    Args:
        lines: As `lines_of` gives them.
        first: The place of the first of them in the log.
    """
    for seq, (at, line) in enumerate(lines, first):
        event = _decode(line, seq)
        if event is None:
            return
        yield Found(event, at, at + len(line) + 1, has_blobs(line))


def _decode(line: bytes, seq: int | None) -> Event | None:
    """The event of a line; None when it is none, or is not the one at the place `seq`. None: at any place."""
    try:
        fields: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("lease"), int):
        return None
    if not isinstance(fields.get("seq"), int) or fields["seq"] != (fields["seq"] if seq is None else seq):
        return None
    if fields.get("v", 0) > LOG_VERSION:
        raise UserError(
            f"{fields.get('agent')}: this log was written by a newer version of Headway",
            "Use that version, or a HEADWAY_HOME of its own for this one.",
        )
    # Names that stand in every line are in memory once.
    for name in _REPEATED:
        value = fields.get(name)
        if isinstance(value, str):
            fields[name] = sys.intern(value)
    # Only `encode` writes these lines, from events that were typed: a second validation of each would cost more than
    # reading it.
    return Event.trusted(DEFAULTS | fields)
