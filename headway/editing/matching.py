"""Finds lines of a model in a text, pure: the same lines, or lines that differ in white space or typography only.

A model and a repository choose both sides. So a search is linear in their size, and work that cannot be linear is
counted and refused at a bound.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from headway.domain.errors import ToolError

TEXT_CHARS = 8 << 20
"""Characters that a text may have after a change."""

COMPARED_LINES = 100_000
"""Lines that are compared by indentation for one change. A place is compared whole, and places may overlap."""

_CHEAP = 8
"""Lines that are compared by their beginning in the time of another look."""

LINES_NAMED = 8

_QUOTES = dict.fromkeys((0x2018, 0x2019, 0x201A), "'") | dict.fromkeys((0x201C, 0x201D, 0x201E), '"')
_DASHES = dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2014, 0x2212), "-")
TYPOGRAPHIC: dict[int, str] = {**_QUOTES, **_DASHES, 0x00A0: " "}


@dataclass(frozen=True)
class Rung:
    """A way in which two lines count as the same.

    Attributes:
        same: The part of a line that is compared.
        reindent: Lines may stand at another indentation, and the new lines are indented as the text is.
    """

    how: str
    same: Callable[[str], str]
    reindent: bool


EXACT = Rung("exact", lambda line: line, reindent=False)

LINE_RUNGS = (
    Rung("trailing white space ignored", str.rstrip, reindent=False),
    Rung("indentation ignored", str.strip, reindent=True),
    Rung("typographic characters made plain", lambda line: line.translate(TYPOGRAPHIC).strip(), reindent=True),
)


def occurrences(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[int]:
    """Every place, from 0, where `wanted` stands in `lines`; places may overlap.

    By the algorithm of Knuth, Morris and Pratt: in texts of equal lines a plain search takes time by the square.
    """
    if not wanted or len(wanted) > len(lines):
        return
    # Numbers, so that two long lines that differ at their ends are compared once.
    numbers: dict[str, int] = {}
    key = [numbers.setdefault(line, len(numbers)) for line in wanted]
    back = _fallbacks(key)
    matched = 0
    for at, line in enumerate(lines):
        number = numbers.get(line, -1)
        while matched and key[matched] != number:
            matched = back[matched - 1]
        matched += key[matched] == number
        if matched == len(key):
            yield at + 1 - matched
            matched = back[matched - 1]


class LineIndex:
    """The lines of one text, for many searches. A search costs about as much as it has candidates.

    Args:
        lines: The lines as they are compared.
        budget: Counts the lines that the searches look at.
    """

    def __init__(self, lines: Sequence[str], budget: "Budget") -> None:
        self.lines = lines
        self._budget = budget
        self._at: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            self._at.setdefault(line, []).append(number)

    def places(self, wanted: Sequence[str]) -> Iterator[int]:
        """Every place, from 0, where `wanted` stands; places may overlap.

        Raises:
            ToolError: The budget is used up.
        """
        counts = [len(self._at.get(line, ())) for line in wanted]
        offset = min(range(len(wanted)), key=counts.__getitem__)
        if counts[offset] * len(wanted) > len(self.lines):
            self._budget.spend(len(self.lines))
            for at in occurrences(self.lines, wanted):
                self._budget.spend(1)
                yield at
            return
        for number in self._at.get(wanted[offset], ()):
            self._budget.spend(len(wanted))
            at = number - offset
            if at >= 0 and self.lines[at : at + len(wanted)] == wanted:
                yield at

    def alike(self, line: str) -> list[int]:
        """The places of a line; of lines that begin with it where there is none."""
        same = self._at.get(line)
        if same is None:
            self._budget.spend(len(self.lines) // _CHEAP)
            return [at for at, other in enumerate(self.lines) if other.startswith(line)]
        self._budget.spend(len(same))
        return same


class Budget:
    """Number of lines that one change may look at. It bounds the time of every change."""

    def __init__(self, lines: int) -> None:
        self._left = lines

    def spend(self, lines: int) -> None:
        """Count lines that are looked at.

        Raises:
            ToolError: They were too many.
        """
        self._left -= lines
        if self._left < 0:
            raise ToolError(
                "too many changes whose lines stand in too many places: make fewer at a time, "
                "and give lines that stand in the file once"
            )


def _fallbacks(key: Sequence[int]) -> list[int]:
    """For each beginning of `key` the length of its longest end that is also its beginning."""
    back = [0] * len(key)
    length = 0
    for at in range(1, len(key)):
        while length and key[length] != key[at]:
            length = back[length - 1]
        length += key[length] == key[at]
        back[at] = length
    return back


class Comparisons:
    """Compares the indentation of places, up to `COMPARED_LINES` lines in all."""

    def __init__(self) -> None:
        self._left = COMPARED_LINES

    def indents_of(self, wanted: Sequence[str], found: Sequence[str]) -> dict[str, str] | None:
        """The indentation of the text for each indentation in `wanted`, or None where they contradict each other.

        Raises:
            ToolError: There were too many lines to compare.
        """
        pairs: dict[str, str] = {}
        for asked, real in zip(wanted, found, strict=True):
            self._left -= 1
            if asked.strip() and pairs.setdefault(_indent(asked), _indent(real)) != _indent(real):
                return None
            if self._left < 0:
                raise ToolError(
                    "the lines differ from the file in their indentation, and they nearly fit in too many places: "
                    "copy them with their indentation, or name fewer lines"
                )
        return pairs


def reindented(new: str, indents: dict[str, str]) -> str:
    """A text with its indentation put as `indents` says; lines of an indentation that it does not know stay.

    Raises:
        ToolError: It would get too long.
    """
    if not indents:
        return new
    known = sorted(indents, key=len, reverse=True)
    # Few indentations are different, however many lines there are.
    moved: dict[str, str] = {}
    lines, room = [], TEXT_CHARS
    for line in new.split("\n"):
        indent = _indent(line)
        if indent not in moved:
            base = next((each for each in known if indent.startswith(each)), None)
            moved[indent] = indent if base is None else indents[base] + indent[len(base) :]
        whole = line if len(indent) == len(line) else moved[indent] + line[len(indent) :]
        room -= len(whole)
        if room < 0:
            raise ToolError(f"the file would have more than {TEXT_CHARS:,} characters: write that with a command")
        lines.append(whole)
    return "\n".join(lines)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def listed(numbers: Sequence[int]) -> str:
    """The first of these line numbers."""
    return ", ".join(map(str, numbers[:LINES_NAMED])) + (", …" if len(numbers) > LINES_NAMED else "")
