"""Handoffs as a planner reads them: brief in a message, whole by `read_handoff`."""

import re
from collections.abc import Sequence

from headway.domain.handoff import Handoff
from headway.domain.headings import handoff_heading
from headway.domain.ids import ChildKey
from headway.system.excerpt import cut

SUMMARY_CHARS = 4_000
CONCERNS_CHARS = 2_000
_HEADING = re.compile(r"^#+ (?=Handoff )", re.MULTILINE)


def brief(key: ChildKey, handoff: Handoff, concerns: Sequence[str] | None = None) -> str:
    """The part of a handoff that a planner gets at once: status, title, summary, concerns, facts, and names of the
    other fields.

    Args:
        key: The child's key.
        handoff: The child's handoff.
        concerns: The concerns of it that are shown here; None for all of them.
    """
    report = handoff.report
    lines = [handoff_heading(key, report.status, handoff.title), words(cut(report.summary, SUMMARY_CHARS))]
    said = report.concerns if concerns is None else "\n".join(concerns)
    if said:
        lines.append(f"Concerns: {words(cut(said, CONCERNS_CHARS))}")
    lines.append(f"Facts: {facts_line(handoff)}")
    more = [name for name in report.optional if name != "concerns"]
    if more:
        lines.append(f"More by read_handoff: {', '.join(more)}")
    return "\n".join(lines)


def whole(handoff: Handoff) -> str:
    """Everything: each field that was filled, and the facts."""
    report = handoff.report
    lines = [f"{handoff.title}: {report.status}", "", words(report.summary)]
    for name, text in report.optional.items():
        lines += ["", f"{name.capitalize()}:", words(text)]
    lines += ["", f"Facts: {facts_line(handoff)}"]
    lines += [f"Landed: {oid}" for oid in handoff.facts.landed]
    for ran in handoff.facts.commands:
        ended = ran.note or f"exit code {ran.exit_code}"
        lines.append(f"Ran: {ran.command} ({ended})")
    return "\n".join(lines)


def facts_line(handoff: Handoff) -> str:
    """The harness's facts, in one line."""
    facts = handoff.facts
    told = [f"{len(facts.landed)} commits on the trunk, {facts.files_changed} files"]
    if facts.wip:
        told.append(f"not landed, kept at {facts.wip}")
    if facts.children:
        told.append("children: " + ", ".join(f"{count} {status}" for status, count in sorted(facts.children.items())))
    if facts.attempt > 1:
        told.append(f"attempt {facts.attempt}")
    if facts.harness_made:
        told.append(f"reported by the harness: {facts.harness_made}")
    return "; ".join(told)


def words(text: str) -> str:
    """An agent's words without lines that look like the harness's headings, so that no agent hands off for another."""
    return _HEADING.sub("", text)
