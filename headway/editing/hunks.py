"""The patch engine: works out the text after the hunks of a patch, pure.

A hunk says lines that stand in the text (context and `-`) and lines that come in (`+`), and no line numbers. Where it
goes is found as an edit's place is: exactly, then without trailing white space, without indentation, and with
typographic characters made plain. A hunk that fits in more than one place is refused unless `@@` says below which line.
Lines that are not changed keep every byte; so do CRLF and the state of the final newline.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from headway.domain.errors import ToolError
from headway.editing.edit import PLACES_KEPT, Edited
from headway.editing.matching import (
    EXACT,
    LINE_RUNGS,
    TEXT_CHARS,
    Budget,
    Comparisons,
    LineIndex,
    Rung,
    listed,
    reindented,
)
from headway.editing.similar_lines import nearest
from headway.system.excerpt import cut

LOOKED_AT = 200_000
LOOKS_A_LINE = 4
"""Lines that one patch may look at in a file: so many, and so many more for each line of the file."""

STRIPPED = next(rung for rung in LINE_RUNGS if rung.same is str.strip)

Sign = Literal[" ", "-", "+"]


@dataclass(frozen=True)
class Hunk:
    """One change of a file.

    Attributes:
        scopes: Lines below which it lies, the outer one first.
        lines: Sign and text of each line.
        at_end: The file ends with it.
        number: Its first line in the patch, from 1.
    """

    scopes: tuple[str, ...]
    lines: tuple[tuple[Sign, str], ...]
    at_end: bool
    number: int

    @property
    def old(self) -> list[str]:
        """The text that must stand in the file."""
        return [text for sign, text in self.lines if sign != "+"]


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> Edited:
    """The text of a file after all hunks; none is applied if one of them fits nowhere.

    Raises:
        ToolError: One of them fits nowhere or in several places; it names lines and a way on.
    """
    return _Applied(text).with_all(hunks)


class _Applied:
    """Hunks on their way into a text: every one is placed in the text as it was, and nothing is changed twice."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        pieces = text.split("\n")
        ended = not pieces[-1]
        pieces = pieces[:-1] if ended else pieces
        # The line's text, and its end.
        self._eols = ["\r\n" if piece.endswith("\r") else "\n" for piece in pieces]
        self._lines = [piece.removesuffix("\r") for piece in pieces]
        if not ended:
            self._lines[-1], self._eols[-1] = pieces[-1], ""
        self._eol = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
        self._gone: set[int] = set()
        self._new: dict[int, list[str]] = {}
        self._cursor = 0
        self._budget = Budget(LOOKED_AT + LOOKS_A_LINE * len(self._lines))
        self._indexes: dict[str, LineIndex] = {}
        self._how = "exact"
        self._comparisons = Comparisons()
        self._room = TEXT_CHARS - len(text)

    def with_all(self, hunks: Sequence[Hunk]) -> Edited:
        for hunk in hunks:
            self._take(hunk)
        return self._edited()

    def _take(self, hunk: Hunk) -> None:
        at, rung = self._placed(hunk)
        found = self._lines[at : at + len(hunk.old)]
        indents = (self._comparisons.indents_of(hunk.old, found) if rung.reindent else None) or {}
        gone: set[int] = set()
        new: dict[int, list[str]] = {}
        for sign, text in hunk.lines:
            if sign == "+":
                line = reindented(text, indents)
                self._room -= len(line) + 1
                if self._room < 0:
                    raise ToolError(f"the file would have over {TEXT_CHARS:,} characters: write that with a command")
                new.setdefault(at, []).append(line)
                continue
            if sign == "-":
                gone.add(at)
            at += 1
        if gone & self._gone or new.keys() & self._new.keys():
            raise ToolError(f"{_named(hunk)} changes what another one changes as well: make them one")
        self._gone |= gone
        self._new |= new
        self._cursor = max([self._cursor, *(line + 1 for line in gone), *new])
        self._how = self._how if rung.how == "exact" else rung.how

    def _placed(self, hunk: Hunk) -> tuple[int, Rung]:
        """The line where a hunk begins, from 0, and the rung that found it."""
        heads = self._heads(hunk.scopes)
        if not hunk.old:
            return self._place_of_new(hunk, heads), EXACT
        for rung in (EXACT, *LINE_RUNGS):
            places = list(self._places(hunk.old, rung))
            # Changes come in the order of the file; one that does not may stand anywhere.
            for after in (self._cursor, 0):
                fitting = self._narrowed([place for place in places if place >= after], heads, hunk)
                if len(fitting) > 1:
                    raise ToolError(self._ambiguous(hunk, fitting))
                if fitting:
                    return fitting[0], rung
        raise ToolError(self._nowhere(hunk, heads))

    def _places(self, old: list[str], rung: Rung) -> Iterator[int]:
        if rung is not EXACT and not any(line.strip() for line in old):
            return
        for at in self._index(rung).places([rung.same(line) for line in old]):
            near = self._lines[at : at + len(old)] if rung.reindent else []
            if not rung.reindent or self._comparisons.indents_of(old, near) is not None:
                yield at

    def _index(self, rung: Rung) -> LineIndex:
        if rung.how not in self._indexes:
            self._indexes[rung.how] = LineIndex(list(map(rung.same, self._lines)), self._budget)
        return self._indexes[rung.how]

    def _narrowed(self, places: list[int], heads: list[int], hunk: Hunk) -> list[int]:
        """The places that a hunk may mean: the last one of the file, or the first below each line of its scope."""
        at_end = [place for place in places if place + len(hunk.old) == len(self._lines)]
        if hunk.at_end and at_end:
            return at_end
        if not heads:
            return places
        return _first_below(heads, places)

    def _heads(self, scopes: Sequence[str]) -> list[int]:
        """The lines that a scope may mean: of each inner one the first below each of its outer one."""
        heads = self._index(STRIPPED).alike(scopes[0]) if scopes else []
        for scope in scopes[1:]:
            inner = self._index(STRIPPED).alike(scope)
            heads = _first_below([head + 1 for head in heads], inner)
        return heads

    def _place_of_new(self, hunk: Hunk, heads: list[int]) -> int:
        """The place for new lines that come without any line of the file."""
        if hunk.at_end or not self._lines:
            return len(self._lines)
        if len(heads) == 1:
            return heads[0] + 1
        raise ToolError(
            f"{_named(hunk)} does not say where its lines go: give the lines around them, "
            "or the line above them as `@@ line`"
        )

    def _ambiguous(self, hunk: Hunk, places: list[int]) -> str:
        numbers = listed([place + 1 for place in places])
        return (
            f"{_named(hunk)} fits {len(places)} times, at lines {numbers}: add lines around the one you mean, "
            "or the line of its function or class before it as `@@ line`"
        )

    def _nowhere(self, hunk: Hunk, heads: list[int]) -> str:
        below = f" below line {heads[0] + 1} (`@@ {cut(hunk.scopes[-1], 80)}`)" if heads else ""
        found = nearest(self._text, hunk.old)
        if found is None:
            said = f"the lines of {_named(hunk)} are not in the file{below}, and nothing in it is close"
            return f"{said}: read the file again before the next patch"
        return (
            f"the lines of {_named(hunk)} are not in the file{below}. The nearest are {found}\n"
            "Copy the lines without sign and those with `-` from these exactly, or read the file again"
        )

    def _edited(self) -> Edited:
        out: list[tuple[str, str]] = []
        pieces: list[tuple[int, int]] = []
        for at in range(len(self._lines) + 1):
            new = self._new.get(at, [])
            if new or at in self._gone:
                first = len(out) + 1
                if pieces and pieces[-1][1] >= first - 1:
                    first = pieces.pop()[0]
                pieces.append((first, max(first, len(out) + len(new))))
            out += [(line, self._eol) for line in new]
            if at < len(self._lines) and at not in self._gone:
                out.append((self._lines[at], self._eols[at] or self._eol))
        if out and self._eols and not self._eols[-1]:
            out[-1] = (out[-1][0], "")
        text = "".join(line + eol for line, eol in out)
        return Edited(text=text, lines=tuple(pieces[:PLACES_KEPT]), how=self._how)


def _first_below(heads: list[int], places: list[int]) -> list[int]:
    """For each of these lines the first place from there on that lies before the next one. All sorted."""
    found = []
    for head, end in zip_longest(heads, heads[1:]):
        at = bisect.bisect_left(places, head)
        if at < len(places) and (end is None or places[at] < end):
            found.append(places[at])
    return found


def _named(hunk: Hunk) -> str:
    return f"the change at line {hunk.number} of the patch"
