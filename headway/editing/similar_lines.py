"""Finds the lines of a text that are most like lines that are not in it, pure and in linear time."""

from collections.abc import Sequence

from headway.system.excerpt import cut, numbered

NEAREST_LINES = 12
LEAST = 0.4
"""Part of the pairs of characters that two lines must share to be called close."""

_WANTED = 1_000
_PLACES_EACH = 50
_COMPARED = 20_000
_COMPARED_CHARS = 400


def nearest(text: str, wanted: Sequence[str]) -> str | None:
    """The lines of a text that are most like these, named and shown with their numbers; None when nothing is close."""
    lines = text.split("\n")
    at = _best_start(lines, wanted)
    if at is None:
        return None
    shown = numbered(text, at + 1, min(len(wanted), NEAREST_LINES)).partition("\n[lines")[0]
    return f"lines {at + 1} to {min(at + len(wanted), len(lines))}:\n{cut(shown, 4_000)}"


def _best_start(lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The place at which the most lines of `wanted` stand; else that of the line most like its longest one."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if (stripped := line.strip()) and len(found := places.setdefault(stripped, [])) < _PLACES_EACH:
            found.append(number)
    votes: dict[int, int] = {}
    for offset, line in enumerate(wanted[:_WANTED]):
        for number in places.get(line.strip(), ()):
            votes[max(0, number - offset)] = votes.get(max(0, number - offset), 0) + 1
    if votes:
        return max(votes, key=lambda at: (votes[at], -at))
    offset, longest = max(enumerate(wanted), key=lambda entry: len(entry[1].strip()))
    close = _closest(longest.strip(), list(places)[:_COMPARED])
    return None if close is None else max(0, places[close][0] - offset)


def _closest(line: str, others: Sequence[str]) -> str | None:
    """The line that shares the most pairs of neighbouring characters, by Dice's measure.

    Not `difflib`, whose time grows with the square of a line's length, or its cube.
    """
    ours = _pairs(line)
    best, most = None, LEAST
    for other in others:
        theirs = _pairs(other)
        shared = 2 * len(ours & theirs) / (len(ours) + len(theirs))
        if shared > most:
            best, most = other, shared
    return best


def _pairs(line: str) -> set[str]:
    start = f" {line[:_COMPARED_CHARS]}"
    return {start[at : at + 2] for at in range(len(start) - 1)} or {""}
