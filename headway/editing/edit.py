"""The edit engine: replaces one piece of a text by another, pure.

Matching goes down a ladder, so that small slips of a model still land at the intended place: exact, then without
trailing white space, then without indentation (the replacement is indented anew), then with typographic characters made
plain. Each rung must match exactly once. Bytes outside of the match stay as they are, CRLF and the final newline too.

A model and a repository choose these texts. So every search is linear, and places, comparisons and the result are
bounded.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headway.domain.errors import ToolError
from headway.editing.matching import (
    LINE_RUNGS,
    LINES_NAMED,
    TEXT_CHARS,
    Comparisons,
    Rung,
    listed,
    occurrences,
    reindented,
)
from headway.editing.similar_lines import nearest
from headway.system.excerpt import numbered

PLACES = 50_000
"""Places that one edit may change."""

PLACES_KEPT = 100
"""Changed pieces that are known by their lines."""

LINES_SHOWN = 60


@dataclass(frozen=True)
class Edited:
    """The text after an edit.

    Attributes:
        lines: First and last line, from 1, of each of the first pieces that were put in.
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
        places = _taken(rung(plain, old, new), len(plain))
        if len(places) > 1 and not replace_all:
            raise ToolError(_ambiguous(plain, places))
        if places:
            return _replace(text, places, how)
    raise ToolError(_nearest(plain, old))


def _taken(places: Iterator[_Place], size: int) -> list[_Place]:
    """All the places, while they and the text that they make of this size are within bounds.

    Raises:
        ToolError: They are too many, or the text would get too large.
    """
    taken: list[_Place] = []
    for place in places:
        size += len(place.new) - (place.end - place.start)
        taken.append(place)
        if len(taken) > PLACES:
            raise ToolError(f"`old` is found more than {PLACES:,} times: change that many places with a command")
        if size > TEXT_CHARS and place.new:
            raise ToolError(f"the file would have more than {TEXT_CHARS:,} characters: write that with a command")
    return taken


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

    out, done, line = [], 0, 1
    lines: list[tuple[int, int]] = []
    for place in places:
        kept = text[in_raw(done) : in_raw(place.start)]
        out += [kept, place.new.replace("\n", "\r\n") if crlf else place.new]
        line += kept.count("\n")
        grown = place.new.count("\n")
        if len(lines) < PLACES_KEPT:
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


def _by_lines(rung: Rung) -> Callable[[str, str, str], Iterator[_Place]]:
    def places(text: str, old: str, new: str) -> Iterator[_Place]:
        whole = old.endswith("\n")
        wanted = old.removesuffix("\n").split("\n")
        if not any(line.strip() for line in wanted):
            return
        key = [rung.same(line) for line in wanted]
        lines = text.split("\n")
        if len(key) > len(lines):
            return
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        comparisons, free = Comparisons(), 0
        for at in occurrences(list(map(rung.same, lines)), key):
            if at < free:
                continue
            indents = comparisons.indents_of(wanted, lines[at : at + len(key)]) if rung.reindent else {}
            if indents is None:
                continue
            end = starts[at + len(key)] - 1
            yield _Place(starts[at], *_ending(text, end, reindented(new, indents), whole=whole))
            free = at + len(key)

    return places


def _ending(text: str, end: int, new: str, *, whole: bool) -> tuple[int, str]:
    """End of the match, and its replacement: `old` with its last newline takes the one of the text along."""
    if not whole:
        return end, new
    if end < len(text):
        return end + 1, new
    return end, new.removesuffix("\n")


_LADDER: tuple[tuple[str, Callable[[str, str, str], Iterator[_Place]]], ...] = (
    ("exact", _exact),
    *((rung.how, _by_lines(rung)) for rung in LINE_RUNGS),
)


def _ambiguous(text: str, places: list[_Place]) -> str:
    numbers = [text.count("\n", 0, place.start) + 1 for place in places[: LINES_NAMED + 1]]
    return (
        f"`old` is found {len(places)} times, at lines {listed(numbers)}: "
        "add the lines around the one you mean to `old` and `new`, or set replace_all to change every one"
    )


def _nearest(text: str, old: str) -> str:
    found = nearest(text, old.removesuffix("\n").split("\n"))
    if found is None:
        return "`old` is not in the file, and nothing in it is close: read the file again before the next edit"
    return (
        f"`old` is not in the file. The nearest are {found}\n"
        "Copy `old` from these lines exactly, without the numbers, or read the file again"
    )
