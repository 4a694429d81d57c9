"""Reads patches in the V4A format, pure: `*** Begin Patch`, a section for each file, `*** End Patch`."""

import re
from dataclasses import dataclass
from typing import Literal

from headway.domain.errors import ToolError
from headway.editing.hunks import Hunk, Sign
from headway.system.excerpt import cut

BEGIN, END = "*** Begin Patch", "*** End Patch"
END_OF_FILE = "*** End of File"
NO_NEWLINE = "\\ No newline at end of file"

PATCH_CHARS = 200_000
SECTIONS = 200
"""Files that one patch may name."""

_HEADER = re.compile(r"\*\*\* (Add|Update|Delete) File: *(.*)")
_MOVE = re.compile(r"\*\*\* Move to: *(.*)")
_UNIFIED = re.compile(r"-\d+(?:,\d+)? \+\d+(?:,\d+)? @@ ?")
"""The line numbers of a unified diff after `@@`: they are ignored, and the rest is a scope."""


@dataclass(frozen=True)
class Add:
    """A new file."""

    path: str
    content: str


@dataclass(frozen=True)
class Update:
    """A change of a file, and its new place, if it gets one."""

    path: str
    hunks: tuple[Hunk, ...]
    move_to: str | None = None


@dataclass(frozen=True)
class Delete:
    """A file that goes."""

    path: str


Section = Add | Update | Delete


def parse_patch(text: str) -> tuple[Section, ...]:
    """The sections of a whole patch, in order.

    Raises:
        ToolError: It is none; the line of the patch is named.
    """
    _refuse_large(text)
    lines = _lines(text)
    marks = [line.strip() for line in lines]
    if BEGIN not in marks or END not in marks[marks.index(BEGIN) :]:
        raise ToolError(f"a patch begins with the line `{BEGIN}` and ends with the line `{END}`: send it whole, again")
    first = marks.index(BEGIN) + 1
    last = len(marks) - 1 - marks[::-1].index(END)
    heads = [at for at in range(first, last) if _HEADER.fullmatch(marks[at])]
    if len(heads) > SECTIONS:
        raise ToolError(f"the patch names {len(heads)} files: name at most {SECTIONS} at a time")
    before = [at for at in range(first, heads[0] if heads else last) if marks[at]]
    if before or not heads:
        where = f"line {before[0] + 1} of the patch" if before else "the patch"
        raise ToolError(f"{where} names no file: begin each with `*** Update File: path`, or `Add` or `Delete`")
    return tuple(
        _section(marks[at], lines[at + 1 : end], at + 2) for at, end in zip(heads, [*heads[1:], last], strict=True)
    )


def parse_operation(kind: Literal["create_file", "update_file", "delete_file"], path: str, diff: str) -> Section:
    """The one section that an operation on one file is.

    Raises:
        ToolError: Its diff is none.
    """
    _refuse_large(diff)
    match kind:
        case "create_file":
            return Add(path, _content(_lines(diff), 1))
        case "update_file":
            return Update(path, _hunks(_lines(diff), 1))
        case "delete_file":
            return Delete(path)


def _refuse_large(text: str) -> None:
    if len(text) > PATCH_CHARS:
        raise ToolError(f"the patch has {len(text):,} characters: send at most {PATCH_CHARS:,} at a time")


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _section(head: str, body: list[str], number: int) -> Section:
    match = _HEADER.fullmatch(head)
    if match is None or not match[2].strip():
        raise ToolError(f"line {number - 1} of the patch names no path: write it behind the colon")
    kind, path = match[1], match[2].strip()
    if kind == "Add":
        return Add(path, _content(body, number))
    if kind == "Delete":
        extra = next((at for at, line in enumerate(body) if line.strip()), None)
        if extra is not None:
            raise ToolError(
                f"line {number + extra} of the patch: nothing follows a `Delete File` line but the next file"
            )
        return Delete(path)
    move = _MOVE.fullmatch(body[0].strip()) if body else None
    if move is None:
        return Update(path, _hunks(body, number))
    if not move[1].strip():
        raise ToolError(f"line {number} of the patch names no path: write it behind the colon")
    rest = body[1:]
    return Update(path, _hunks(rest, number + 1) if any(line.strip() for line in rest) else (), move[1].strip())


def _content(body: list[str], number: int) -> str:
    end = len(body)
    while end and not body[end - 1].strip():
        end -= 1
    body = [line for line in body[:end] if line not in {END_OF_FILE, NO_NEWLINE}]
    for at, line in enumerate(body):
        if not line.startswith("+"):
            raise ToolError(f"line {number + at} of the patch: every line of a new file begins with `+`")
    return "".join(f"{line[1:]}\n" for line in body)


def _hunks(body: list[str], number: int) -> tuple[Hunk, ...]:
    hunks: list[Hunk] = []
    scopes: list[str] = []
    lines: list[tuple[Sign, str]] = []
    began = number

    def close(*, at_end: bool = False) -> None:
        nonlocal scopes, lines
        if lines:
            hunks.append(Hunk(tuple(scopes), tuple(lines), at_end, began))
            scopes, lines = [], []

    loose = _loose(body)
    for at, line in enumerate(body):
        if at in loose:
            continue
        match line[:1]:
            case "@" if line.startswith("@@"):
                close()
                began = number + at
                scope = _scope(line)
                scopes += [scope] if scope else []
            case " " | "+" | "-" as sign:
                lines.append((sign, line[1:]))
            case "":
                lines.append((" ", ""))
            case _ if line.strip() == END_OF_FILE:
                close(at_end=True)
            case _ if line.strip() != NO_NEWLINE:
                raise ToolError(
                    f"line {number + at} of the patch is `{cut(line, 80)}`: a line of a change begins with a space, "
                    "`+` or `-`, and `@@` begins the next change"
                )
    close()
    if not hunks:
        raise ToolError("there is no change in it: give the lines that go with `-` and those that come with `+`")
    return tuple(hunks)


def _loose(body: list[str]) -> set[int]:
    """The lines without even a space at the end of a change: they are none of it."""
    found = set()
    at_end = True
    for at in range(len(body) - 1, -1, -1):
        at_end = at_end if not body[at] else body[at][0] in "@*"
        if at_end and not body[at]:
            found.add(at)
    return found


def _scope(line: str) -> str:
    return _UNIFIED.sub("", line[2:].strip() + " ", count=1).strip().removesuffix("@@").strip()
