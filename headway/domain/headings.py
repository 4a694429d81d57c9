"""Headings that the harness's own messages carry, so that a person, a model and the rehearsal read them alike.

The first line of an agent's request names the agent; each handoff in a planner's message starts with a line of its own.
The rehearsal finds its place in a playbook by nothing else, so that the same request always gets the same answer.
"""

import re

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import ChildKey

ROOT_HEADING = "Scope: the whole run"
HANDOFF_MARK = "### Handoff "
"""What the line above a handoff begins with."""

_TASK = re.compile(r"^Task: (?P<title>.*?)(?: \(attempt (?P<attempt>\d+)\))?$", re.MULTILINE)
_SCOPE = re.compile(r"^Scope: (?P<title>.*)$", re.MULTILINE)
_STATUS = "|".join(HandoffStatus)
_HANDOFF = re.compile(rf"^{HANDOFF_MARK}(?P<key>\S+) · (?P<status>{_STATUS}) · (?P<title>.*)$", re.MULTILINE)


def task_heading(title: str, attempt: int = 1) -> str:
    """The first line of a worker's request."""
    line = _line(title)
    plain = f"Task: {line}"
    return plain if task_of(plain) == (line, attempt) else f"{plain} (attempt {attempt})"


def scope_heading(title: str) -> str:
    """The first line of what a sub-planner was asked."""
    return f"Scope: {_line(title)}"


def handoff_heading(key: ChildKey, status: HandoffStatus, title: str) -> str:
    """The line above a handoff in a planner's message."""
    return f"{HANDOFF_MARK}{key} · {status} · {_line(title)}"


def task_of(text: str) -> tuple[str, int] | None:
    """(title, attempt) of the task that a message opens with, if it does."""
    found = _TASK.match(text)
    return (found["title"], int(found["attempt"] or 1)) if found else None


def scope_of(text: str) -> str | None:
    """The scope that a message opens with, if it does; `the whole run` for the root planner."""
    found = _SCOPE.match(text)
    return found["title"] if found else None


def handoffs_in(text: str) -> list[tuple[ChildKey, HandoffStatus, str]]:
    """Every handoff that a message tells of."""
    return [(ChildKey(m["key"]), HandoffStatus(m["status"]), m["title"]) for m in _HANDOFF.finditer(text)]


def _line(title: str) -> str:
    return " ".join(title.split())
