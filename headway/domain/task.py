"""Requests of planners: tasks for workers, scopes for sub-planners."""

import json
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Long = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32_000)]
Optional = Annotated[str, StringConstraints(strip_whitespace=True, max_length=32_000)]
Priority = Annotated[int, Field(ge=-1, le=1)]

TITLE_IN_HISTORY = 46
"""Characters of a title that Temporal's history and a planner's state carry; the whole title lies in the log."""
TITLE_BYTES = 100
"""Bytes of it as JSON: a title in Chinese takes three times the room of one in English."""


class TaskKind(StrEnum):
    """`change` lands commits; `investigate` answers a question and lands nothing."""

    CHANGE = "change"
    INVESTIGATE = "investigate"


class TaskSpec(BaseModel):
    """One self-contained piece of work for one worker, who sees nothing of the plan but this.

    Attributes:
        priority: 1 before others of the same planner, -1 after them.
        paths: Paths where the planner expects the change; advice, not a fence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Short
    intent: Long
    context: Optional = ""
    constraints: Optional = ""
    paths: tuple[str, ...] = ()
    done_when: Optional = ""
    priority: Priority = 0
    kind: TaskKind = TaskKind.CHANGE


class Scope(BaseModel):
    """The part of a run that a planner owns. The root planner's scope is the user's instructions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Long
    intent: Long
    context: Optional = ""
    constraints: Optional = ""
    priority: Priority = 0

    @property
    def title(self) -> str:
        """The first line of the scope, short enough for a list."""
        return self.scope.partition("\n")[0][:200]


def in_history(title: str) -> str:
    """A title as history carries it: one line of printable characters, cut."""
    line = " ".join("".join(char if char.isprintable() else " " for char in title).split())
    if _fits(line):
        return line
    line = line[: TITLE_IN_HISTORY - 1]
    while not _fits(f"{line}…"):
        line = line[:-1]
    return f"{line}…"


def _fits(line: str) -> bool:
    size = len(json.dumps(line, ensure_ascii=False).encode()) - len('""')
    return len(line) <= TITLE_IN_HISTORY and size <= TITLE_BYTES
