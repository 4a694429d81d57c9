"""The input of a run that goes on where another one ended, put together from the remains of that one."""

import importlib.resources
import re
from collections.abc import Iterable
from dataclasses import dataclass
from string import Template
from typing import Any

from headway.domain.errors import UserError
from headway.domain.handoff import Handoff, HandoffStatus
from headway.domain.ids import RunName
from headway.domain.spec import MAX_INSTRUCTIONS_BYTES
from headway.eventlog.run_summary import RunSummary

CARRIED_BYTES = 48 * 1024
"""Of everything that is quoted, so that it stays a part of the instructions and does not become all of them."""

ENTRY_CHARS = 1_000
LEAST_BYTES = 512
MARGIN_BYTES = 256
"""For the lines that say how much was left out."""
NONE = "> none"

_FILE = "continued.md"
_SECTION = re.compile(r"^# Continued from run \S+$", re.MULTILINE)
_NUMBERED = re.compile(r"-\d+$")
_NAME_CHARS = 56
_ENDED_WELL = frozenset({HandoffStatus.DONE, HandoffStatus.NOT_NEEDED})


@dataclass(frozen=True)
class Earlier:
    """The run that is continued: its name, its outcome in a word, and its remains."""

    name: RunName
    outcome: str
    left: RunSummary


def continued_input(earlier: Earlier, repo: str, base: str, instructions: str | None) -> dict[str, Any]:
    """The input of the new run: the old one's, on another base, with a section on how the old one ended.

    Args:
        earlier: The run to go on from.
        repo: The user's repository as git reaches it.
        base: The commit of the old run's work there.
        instructions: The new instructions; None for the old ones.

    Raises:
        UserError: The instructions leave no room for the section.
    """
    spec = earlier.left.spec
    # Only fields that were set: a field that this version does not act on yet is refused even at its default.
    raw = spec.model_dump(mode="json", exclude_defaults=True)
    asked = own_words(spec.instructions) if instructions is None else instructions
    return raw | {"repo": repo, "base": base, "instructions": with_section(asked, earlier)}


def own_words(instructions: str) -> str:
    """The user's instructions, without the section of an earlier continuation."""
    found = _SECTION.search(instructions)
    return instructions[: found.start()].rstrip() if found else instructions


def with_section(asked: str, earlier: Earlier) -> str:
    """The instructions with the earlier run's remains, as far as there is room.

    Raises:
        UserError: There is too little.
    """
    frame = f"{asked}\n\n{_render(earlier, '', '', '')}"
    room = min(CARRIED_BYTES, MAX_INSTRUCTIONS_BYTES - len(frame.encode()) - MARGIN_BYTES)
    if room < LEAST_BYTES:
        raise UserError(
            f"instructions: leave no room for what run '{earlier.name}' left behind",
            f"Shorten them: together they may have {MAX_INSTRUCTIONS_BYTES // 1024} KB.",
        )
    handoffs = earlier.left.handoffs
    notes = _quoted(earlier.left.scratchpad, room // 2)
    open_ones = [h for h in handoffs if h.report.status not in _ENDED_WELL]
    unfinished = _fitting((_unfinished(handoff) for handoff in open_ones), (room - _size(notes)) // 2)
    concerns = _fitting(_concerns(handoffs), room - _size(notes) - _size(unfinished))
    return f"{asked}\n\n{_render(earlier, notes, concerns, unfinished)}"


def next_names(name: RunName, instructions: str) -> Iterable[RunName]:
    """Names for the new run, in the order to be tried: NAME-2, NAME-3 and so on.

    The number of a run that was a continuation itself is counted on from.
    """
    stem = _NUMBERED.sub("", name) if _SECTION.search(instructions) else name
    stem = stem[:_NAME_CHARS].rstrip(".")
    return (RunName(f"{stem}-{number}") for number in range(2, 1_000))


def _concerns(handoffs: Iterable[Handoff]) -> Iterable[str]:
    """Equal ones once, with how many said so."""
    said: dict[str, list[Handoff]] = {}
    for handoff in handoffs:
        if handoff.report.concerns:
            said.setdefault(" ".join(handoff.report.concerns.split()), []).append(handoff)
    for text, by in said.items():
        more = f" and {len(by) - 1} more" if len(by) > 1 else ""
        yield f"> - {_cut(text)} ({_title(by[0])}{more})"


def _unfinished(handoff: Handoff) -> str:
    kept = "; it left work that is not on the trunk" if handoff.facts.wip else ""
    summary = _cut(" ".join(handoff.report.summary.split()))
    return f"> - {handoff.report.status}: {_title(handoff)}{kept}. {summary}"


def _title(handoff: Handoff) -> str:
    return f"'{' '.join(handoff.title.split())[:200]}'"


def _quoted(text: str, room: int) -> str:
    """Line by line behind a mark, so that nothing in it is read as a heading of ours."""
    lines = [f"> {_cut(line)}".rstrip() for line in text.strip().splitlines()]
    return _fitting(lines, room)


def _fitting(entries: Iterable[str], room: int) -> str:
    kept: list[str] = []
    left_out = 0
    for entry in entries:
        if left_out or room < _size(entry):
            left_out += 1
            continue
        room -= _size(entry) + 1
        kept.append(entry)
    if left_out:
        kept.append(f"> and {left_out} more, left out here")
    return "\n".join(kept) or NONE


def _render(earlier: Earlier, notes: str, concerns: str, unfinished: str) -> str:
    text = importlib.resources.files("headway.runs").joinpath(_FILE).read_text(encoding="utf-8")
    values = {"name": earlier.name, "outcome": earlier.outcome, "scratchpad": notes, "concerns": concerns}
    template = Template(text.strip("\n"))
    wanted, given = set(template.get_identifiers()), {*values, "unfinished"}
    assert template.is_valid()
    assert wanted == given, f"{_FILE} and its placeholders disagree: {wanted ^ given}"
    return template.substitute(values, unfinished=unfinished)


def _cut(text: str) -> str:
    return text if len(text) <= ENTRY_CHARS else text[: ENTRY_CHARS - 1] + "…"


def _size(text: str) -> int:
    return len(text.encode())
