"""Headings that the harness's own messages carry, so that a person, a model and the rehearsal read them alike.

A first message begins with what all agents of a role are told. Below a mark stands what one agent is asked; the first
line there names the agent. Each handoff in a planner's message starts with a line of its own. The rehearsal finds its
place in a playbook by nothing else, so that the same request always gets the same answer.
"""

import re

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import ChildKey, Incarnation, short_hash

ROOT_HEADING = "Scope: the whole run"
HANDOFF_MARK = "### Handoff "
"""Beginning of the line above a handoff."""

_MARK = re.compile(r"=== [0-9a-f]{8} ===")
_TASK = re.compile(r"^Task: (?P<title>.*?)(?: \(attempt (?P<attempt>\d+)\))?$", re.MULTILINE)
_SCOPE = re.compile(r"^Scope: (?P<title>.*)$", re.MULTILINE)
_STATUS = "|".join(HandoffStatus)
_HANDOFF = re.compile(rf"^{HANDOFF_MARK}(?P<key>\S+) · (?P<status>{_STATUS}) · (?P<title>.*)$", re.MULTILINE)


def mark_of(incarnation: Incarnation) -> str:
    """The line below which a first message speaks to its agent alone.

    No file of the repository can hold it, because the incarnation is newer than the commit that guidance is read from.
    """
    return f"=== {short_hash(incarnation, 'mark')} ==="


def own_part(text: str) -> str:
    """The part of a first message below its mark, which the first line names; all of it where there is none."""
    named = _MARK.search(text.partition("\n")[0])
    before, _, below = text.partition(f"\n{named[0]}\n") if named else ("", "", "")
    return below if before else text


def task_heading(title: str, attempt: int = 1) -> str:
    """The line that names a worker's task."""
    line = _line(title)
    plain = f"Task: {line}"
    return plain if task_of(plain) == (line, attempt) else f"{plain} (attempt {attempt})"


def scope_heading(title: str) -> str:
    """The line that names a sub-planner's scope."""
    return f"Scope: {_line(title)}"


def handoff_heading(key: ChildKey, status: HandoffStatus, title: str) -> str:
    """The line above a handoff in a planner's message."""
    return f"{HANDOFF_MARK}{key} · {status} · {_line(title)}"


def task_of(text: str) -> tuple[str, int] | None:
    """(title, attempt) of the task that a first message asks for, if it does."""
    found = _TASK.match(text) or _TASK.match(own_part(text))
    return (found["title"], int(found["attempt"] or 1)) if found else None


def scope_of(text: str) -> str | None:
    """The scope that a first message gives, if it does; `the whole run` for the root planner."""
    found = _SCOPE.match(text) or _SCOPE.match(own_part(text))
    return found["title"] if found else None


def handoffs_in(text: str) -> list[tuple[ChildKey, HandoffStatus, str]]:
    """Every handoff that a message tells of."""
    return [(ChildKey(m["key"]), HandoffStatus(m["status"]), m["title"]) for m in _HANDOFF.finditer(text)]


def _line(title: str) -> str:
    return " ".join(title.split())
