"""The bytes of a log: writing an event as a line, reading it again, and the lines of a file that count."""

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import orjson
from pydantic import ValidationError

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, Role, RunName
from headway.domain.results import OtherResult, Results
from headway.eventlog.blobs import APART, Blobs, has_blobs, has_long, resolved
from headway.eventlog.branch import OUTSIDE_THE_LINE
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import LOG_VERSION, AnyEvent, Body, Event, OtherBody
from headway.eventlog.events.life import AgentFork
from headway.eventlog.events.types import BODIES

CHUNK = 1 << 20
"""Bytes that are read at once: a log may be larger than the free memory."""

FIRST_CHUNK = 1 << 13
"""Bytes that are read first from the end of a log: most questions are answered by its last lines."""

_ENVELOPE = Event._fields[:-1]
_OF_ANSWER = frozenset(ToolResult.model_fields) - {"result"}


@dataclass(frozen=True)
class Codec:
    """Reads and writes lines.

    Attributes:
        results: The model of each tool's results.
    """

    results: Results

    def encode(self, event: AnyEvent, data: dict[str, Any], blobs: Blobs, *, inline: bool = False) -> bytes:
        """One line; long strings are stored as blobs first, but for `inline`, where they stand in the line.

        `data` is the body as JSON.
        """
        envelope = dict(zip(_ENVELOPE, event, strict=False))
        if not has_long(data):  # a long text is never written twice, which would hold the interpreter's lock
            line = orjson.dumps(envelope | {"data": data})
            if not has_blobs(line):
                return line + b"\n"
        return orjson.dumps(envelope | {"data": blobs.outsource(data, inline=inline)}) + b"\n"

    def body(self, type: str, data: dict[str, Any]) -> Body:  # noqa: A002  # the envelope's own word
        """The body of an event of this type, from its JSON.

        Raises:
            ValidationError: It cannot say that.
        """
        kind = BODIES.get(type, OtherBody)
        if kind is ToolResult:
            return self._answer(data)
        return kind.read(data)

    def _answer(self, data: dict[str, Any]) -> ToolResult:
        noted = {name: value for name, value in data.items() if name not in _OF_ANSWER}
        if not noted:
            return ToolResult.read(data)
        result = self.results.get(data.get("name", ""), OtherResult).read(noted)
        return ToolResult.read(data | {"result": result})

    def events_in(self, lines: Iterable[tuple[int, bytes]], *, first: int = 0) -> Iterator["Found"]:
        """The events of a log's lines, up to the first line that is none.

        Everything from there on was written after the last sync, so that nothing was promised of it: after a crash of
        the machine a file may end in half a line, in zeros, or in lines with a hole before them.

        Args:
            lines: As `lines_of` gives them.
            first: The place of the first of them in the log.
        """
        for seq, (at, line) in enumerate(lines, first):
            found = self._found(line, at, seq)
            if found is None:
                return
            yield found

    def events_back(self, fd: int) -> Iterator["Found"]:
        """The live events of a log, the newest first. Nothing is read before it is asked for.

        Half a line at the end is left out. A hole that a crash of the machine left in an unsynced part is found when
        the reader comes to it: the events after it have been given then, and do not count.
        """
        next_seq: int | None = None
        newest: int | None = None
        for at, line in lines_back(fd):
            found = self._found(line, at, next_seq)
            if found is None:
                next_seq = None
                found = self._found(line, at, None)
            if found is None:
                continue
            event = found.event
            next_seq = event.seq - 1
            if newest is not None and event.seq > newest:
                continue
            if isinstance(event.body, AgentFork):
                newest = event.body.to
            elif event.type not in OUTSIDE_THE_LINE:
                yield found

    def _found(self, line: bytes, at: int, seq: int | None) -> "Found | None":
        """The event of a line; None when it is none, or is not the one at the place `seq`. None: at any place."""
        fields = _fields_of(line, seq)
        if fields is None:
            return None
        data = fields["data"]
        apart = has_blobs(line)
        try:
            body = self.body(fields["type"], resolved(data, lambda _: APART) if apart else data)
        except ValidationError as error:
            raise _unreadable(fields, error) from error
        return Found(_event(fields, body), at, at + len(line) + 1, data if apart else None, self)


class Place(NamedTuple):
    """An event of a file without what it says. `to`: the place that a fork goes back to; None for other events."""

    seq: int
    type: str
    lease: int
    epoch: int
    to: int | None
    start: int
    end: int


def places_in(lines: Iterable[tuple[int, bytes]]) -> Iterator[Place]:
    """The places of a log's events, up to the first line that is none; see `Codec.events_in`."""
    for seq, (at, line) in enumerate(lines):
        fields = _fields_of(line, seq)
        if fields is None:
            return
        to = fields["data"].get("to") if fields["type"] == AgentFork.type else None
        yield Place(seq, fields["type"], fields["lease"], fields.get("epoch", 0), to, at, at + len(line) + 1)


class Found(NamedTuple):
    """An event of a file.

    Attributes:
        event: Its long strings are `APART` where there is `data`; `resolved` puts them in.
        start: Byte where its line begins.
        end: Byte after its line.
        data: JSON of the body, where some of its strings lie in blobs.
    """

    event: AnyEvent
    start: int
    end: int
    data: dict[str, Any] | None
    codec: Codec

    def resolved(self, blobs: Blobs) -> AnyEvent:
        """The event as it was written."""
        if self.data is None:
            return self.event
        return self.event._replace(body=self.codec.body(self.event.type, blobs.resolve(self.data)))


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
    whole = False  # the part after the last line feed is half a line
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


def _fields_of(line: bytes, seq: int | None) -> dict[str, Any] | None:
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
    return fields if isinstance(fields.get("type"), str) and isinstance(fields.get("data"), dict) else None


def _event(fields: dict[str, Any], body: Body) -> AnyEvent:
    """Names that stand in every line are in memory once."""
    get = fields.get
    task = get("task")
    return Event(
        get("v", LOG_VERSION),
        fields["ts"],
        fields["seq"],
        fields["lease"],
        RunName(sys.intern(fields["run"])),
        AgentId(sys.intern(fields["agent"])),
        AgentId(sys.intern(fields["parent"])),
        cast(Role, sys.intern(fields["role"])),
        None if task is None else AgentId(sys.intern(task)),
        get("epoch", 0),
        get("turn", 0),
        sys.intern(fields["type"]),
        get("dur_ms"),
        body,
    )


def _unreadable(fields: dict[str, Any], error: ValidationError) -> UserError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    event = f"{fields.get('agent')}: event {fields['seq']} ({fields['type']})"
    return UserError(
        f"{event} of the log cannot be read: {where}: {first['msg']}",
        "Use the version of Headway that wrote it, or restore the log from a backup of HEADWAY_HOME.",
    )
