"""Concerns of handoffs, each once: a problem that fifty workers report is one problem, reported fifty times. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headway.domain.ids import ChildKey
from headway.system.excerpt import cut

POINTS = 8
"""Of one handoff; the rest is there by read_handoff."""

POINT_CHARS = 400
KEYS_NAMED = 5

_MARK = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_DIGITS = re.compile(r"\d+")
_NO_WORD = re.compile(r"[^\w#]+")

Reported = Mapping[ChildKey, Sequence[str]]
"""The concerns of each child, point by point."""


@dataclass(frozen=True)
class Concern:
    """One problem, in the words of its first reporter."""

    text: str
    by: tuple[ChildKey, ...]

    def __str__(self) -> str:
        named = ", ".join(self.by[:KEYS_NAMED]) + (", …" if len(self.by) > KEYS_NAMED else "")
        return f"{self.text} ({f'reported {len(self.by)} times: ' if len(self.by) > 1 else ''}{named})"


def points_of(concerns: str) -> tuple[str, ...]:
    """The points of a handoff's concerns: each entry of a list, and the text before the list as one."""
    points: list[list[str]] = []
    begins = True
    for line in concerns.splitlines():
        text = " ".join(_MARK.sub("", line).split())
        if not text:
            begins = True
        elif begins or _MARK.match(line) or not points:
            if len(points) == POINTS:
                break
            points.append([text])
            begins = False
        else:
            points[-1].append(text)
    return tuple(cut(" ".join(parts), POINT_CHARS) for parts in points)


def merged(reported: Reported) -> list[Concern]:
    """Every concern once, the most reported first, else in the order in which they came."""
    texts: dict[str, str] = {}
    by: dict[str, dict[ChildKey, None]] = {}
    for child, points in reported.items():
        for point in points:
            name = sameness(point)
            texts.setdefault(name, point)
            by.setdefault(name, {})[child] = None
    found = [Concern(text, tuple(by[name])) for name, text in texts.items()]
    return sorted(found, key=lambda concern: -len(concern.by))


def sameness(point: str) -> str:
    """The common part of two reports of one problem: their words, whatever the numbers, case and marks."""
    return _NO_WORD.sub(" ", _DIGITS.sub("#", point.casefold())).strip()
