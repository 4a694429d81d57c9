"""The edit engine: replaces one piece of a text by another, pure.

Matching goes down a ladder, so that small slips of a model still land where they were meant: exact, then without
trailing white space, then without indentation (the replacement is indented anew), then with typographic characters
made plain. Each rung must match exactly once. What was not matched keeps every byte, CRLF and the final newline too.
"""

import bisect
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headway.agent.excerpt import cut, numbered
from headway.domain.errors import ToolError

_QUOTES = dict.fromkeys((0x2018, 0x2019, 0x201A), "'") | dict.fromkeys((0x201C, 0x201D, 0x201E), '"')
_DASHES = dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2014, 0x2212), "-")
TYPOGRAPHIC: dict[int, str] = {**_QUOTES, **_DASHES, 0x00A0: " "}
PLACES_NAMED = 8
NEAREST_LINES = 12
LINES_SHOWN = 60


@dataclass(frozen=True)
class Edited:
    """The text after an edit.

    Attributes:
        lines: First and last line, from 1, of each piece that was put in.
        how: The rung that matched.
    """

    text: str
    lines: tuple[tuple[int, int], ...]
    how: str

    def shown(self, pieces: int = 1) -> str:
        """The first changed pieces with some lines around them, numbered."""
        return "\n…\n".join(self._piece(first, last) for first, last in self.lines[:pieces])

    def _piece(self, first: int, last: int) -> str:
        return numbered(self.text, max(1, first - 3), min(last - first + 7, LINES_SHOWN)).partition("\n[lines")[0]


@dataclass(frozen=True)
class _Place:
    """A match: from `start` to `end` of the text, to be replaced by `new`."""

    start: int
    end: int
    new: str


def apply_edit(text: str, old: str, new: str, *, replace_all: bool = False) -> Edited:
    """Replace `old` by `new`.

    Raises:
        ToolError: If nothing matches, or more than one place does without `replace_all`; it names lines and a way on.
    """
    plain, old, new = text.replace("\r\n", "\n"), old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if not old:
        raise ToolError("`old` is empty: give the text to replace, or use write_file for a whole file")
    if old == new:
        raise ToolError("`old` and `new` are the same: nothing would change")
    for how, rung in _LADDER:
        places = list(rung(plain, old, new))
        if len(places) > 1 and not replace_all:
            raise ToolError(_ambiguous(plain, places))
        if places:
            return _replace(text, places, how)
    raise ToolError(_nearest(plain, old))


def _replace(text: str, places: list[_Place], how: str) -> Edited:
    crlf = text.count("\r\n") * 2 > text.count("\n")
    # A "\n" at plain[i] that was "\r\n" shifts everything after it by one: where[k] is the k-th such i.
    where: list[int] = []
    raw = text.find("\r\n")
    while raw >= 0:
        where.append(raw - len(where))
        raw = text.find("\r\n", raw + 2)

    def in_raw(at: int) -> int:
        return at + bisect.bisect_left(where, at)

    out, done, line, lines = [], 0, 1, []
    for place in places:
        kept = text[in_raw(done) : in_raw(place.start)]
        out += [kept, place.new.replace("\n", "\r\n") if crlf else place.new]
        line += kept.count("\n")
        grown = place.new.count("\n")
        lines.append((line, line + max(0, grown - place.new.endswith("\n"))))
        line, done = line + grown, place.end
    out.append(text[in_raw(done) :])
    result = "".join(out)
    if result and text.endswith("\n") and not result.endswith("\n"):
        result += "\r\n" if crlf else "\n"
    return Edited(text=result, lines=tuple(lines), how=how)


def _exact(text: str, old: str, new: str) -> Iterator[_Place]:
    at = text.find(old)
    while at >= 0:
        yield _Place(at, at + len(old), new)
        at = text.find(old, at + len(old))


def _by_lines(same: Callable[[str], str], *, reindent: bool) -> Callable[[str, str, str], Iterator[_Place]]:
    def rung(text: str, old: str, new: str) -> Iterator[_Place]:
        whole = old.endswith("\n")
        wanted = old.removesuffix("\n").split("\n")
        if not any(line.strip() for line in wanted):
            return
        key = [same(line) for line in wanted]
        lines = text.split("\n")
        keys = [same(line) for line in lines]
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        at = 0
        while at + len(key) <= len(lines):
            alike = keys[at] == key[0] and keys[at : at + len(key)] == key
            indents = indents_of(wanted, lines[at : at + len(key)]) if alike and reindent else {}
            if not alike or indents is None:
                at += 1
                continue
            end = starts[at + len(key)] - 1
            yield _Place(starts[at], *_ending(text, end, reindented(new, indents), whole=whole))
            at += len(key)

    return rung


def _ending(text: str, end: int, new: str, *, whole: bool) -> tuple[int, str]:
    """Where the match ends and what goes there: `old` with its last newline takes the one of the text along."""
    if not whole:
        return end, new
    if end < len(text):
        return end + 1, new
    return end, new.removesuffix("\n")


def indents_of(wanted: list[str], found: list[str]) -> dict[str, str] | None:
    """The indentation of the text for each indentation in `old`, or None where they contradict each other."""
    pairs: dict[str, str] = {}
    for asked, real in zip(wanted, found, strict=True):
        if asked.strip() and pairs.setdefault(_indent(asked), _indent(real)) != _indent(real):
            return None
    return pairs


def reindented(new: str, indents: dict[str, str]) -> str:
    """A text with its indentation put as `indents` says; lines of an indentation that it does not know stay."""
    if not indents:
        return new
    known = sorted(indents, key=len, reverse=True)

    def moved(line: str) -> str:
        indent = _indent(line)
        base = next((k for k in known if indent.startswith(k)), None)
        if not line.strip() or base is None:
            return line
        return indents[base] + line[len(base) :]

    return "\n".join(moved(line) for line in new.split("\n"))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


@dataclass(frozen=True)
class Rung:
    """A way in which two lines count as the same.

    Attributes:
        same: What is compared of a line.
        reindent: Lines may stand at another indentation, and what is put in is indented as the text is.
    """

    how: str
    same: Callable[[str], str]
    reindent: bool


LINE_RUNGS = (
    Rung("trailing white space ignored", str.rstrip, reindent=False),
    Rung("indentation ignored", str.strip, reindent=True),
    Rung("typographic characters made plain", lambda line: line.translate(TYPOGRAPHIC).strip(), reindent=True),
)

_LADDER: tuple[tuple[str, Callable[[str, str, str], Iterator[_Place]]], ...] = (
    ("exact", _exact),
    *((rung.how, _by_lines(rung.same, reindent=rung.reindent)) for rung in LINE_RUNGS),
)


def _ambiguous(text: str, places: list[_Place]) -> str:
    numbers = [text.count("\n", 0, place.start) + 1 for place in places[: PLACES_NAMED + 1]]
    return (
        f"`old` is found {len(places)} times, at lines {listed(numbers)}: "
        "add the lines around the one you mean to `old` and `new`, or set replace_all to change every one"
    )


def listed(numbers: list[int]) -> str:
    """The first of these line numbers."""
    return ", ".join(map(str, numbers[:PLACES_NAMED])) + (", …" if len(numbers) > PLACES_NAMED else "")


def _nearest(text: str, old: str) -> str:
    found = nearest(text, old.removesuffix("\n").split("\n"))
    if found is None:
        return "`old` is not in the file, and nothing in it is close: read the file again before the next edit"
    return (
        f"`old` is not in the file. The nearest are {found}\n"
        "Copy `old` from these lines exactly, without the numbers, or read the file again"
    )


def nearest(text: str, wanted: list[str]) -> str | None:
    """The lines of a text that are most like these, named and shown with their numbers; None when nothing is close."""
    lines = text.split("\n")
    at = _best_start(lines, wanted)
    if at is None:
        return None
    shown = numbered(text, at + 1, min(len(wanted), NEAREST_LINES)).partition("\n[lines")[0]
    return f"lines {at + 1} to {min(at + len(wanted), len(lines))}:\n{cut(shown, 4_000)}"


def _best_start(lines: list[str], wanted: list[str]) -> int | None:
    """Where the most lines of `wanted` stand in place; else where a line is that looks most like its longest one."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if line.strip():
            places.setdefault(line.strip(), []).append(number)
    votes: dict[int, int] = {}
    for offset, line in enumerate(wanted):
        for number in places.get(line.strip(), ())[:50]:
            votes[max(0, number - offset)] = votes.get(max(0, number - offset), 0) + 1
    if votes:
        return max(votes, key=lambda at: (votes[at], -at))
    offset, longest = max(enumerate(wanted), key=lambda entry: len(entry[1].strip()))
    close = difflib.get_close_matches(longest.strip(), list(places)[:20_000], n=1, cutoff=0.5)
    return max(0, places[close[0]][0] - offset) if close else None
