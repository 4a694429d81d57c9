"""The shape of a run that is generated: numbers and shares, never the text of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headway.rehearsal.latency import Latency
from headway.rehearsal.part import Count, Part, Positive, Seconds, Share


class Shape(Part):
    """The shape of a generated run. Shares are rounded up to whole tasks, which the seed picks.

    Attributes:
        tasks: Tasks in all.
        levels: Levels of planners: 1 is the root planner alone, each more puts `subplanners` below every planner.
        spread: `everywhere`: every planner has tasks of its own. `leaves`: only those that have no planner below them.
        files: Files that a task writes, each of so many `lines`.
        hot: Share of the tasks that also append a line to one of `hot_files` that many of them change.
        looks: Replies of a worker that read before the first that writes.
        commands: Replies of a worker that run a command, each of `command_s` seconds.
        partial: Share of the tasks that land and hand off as partial.
        blocked: Share of the tasks that hand off as blocked, with nothing done.
        failed: Share of the tasks whose model refuses at each attempt, so that they end as failed.
        chunk: Tasks and sub-planners of one spawn.
        open: Most children that a planner has out; it asks for more when enough have handed off. Not above the run's
            `limits.open_tasks`.
        latency_ms: As in a playbook.
        tokens_in: Tokens that each reply claims to have read; by default a quarter of the request's bytes.
        tokens_out: Tokens that each reply claims to have written; by default a quarter of its bytes.
    """

    tasks: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 40
    levels: Annotated[int, Field(ge=1, le=8, strict=True)] = 1
    subplanners: Annotated[int, Field(ge=1, le=100, strict=True)] = 2
    spread: Literal["everywhere", "leaves"] = "everywhere"
    files: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    lines: Positive = 10
    hot: Share = 0
    hot_files: Positive = 1
    looks: Count = 1
    commands: Count = 1
    command_s: Seconds = 0
    partial: Share = 0
    blocked: Share = 0
    failed: Share = 0
    chunk: Annotated[int, Field(ge=1, le=100, strict=True)] = 100
    open: Annotated[int, Field(ge=1, le=1_000, strict=True)] = 100
    latency_ms: Latency = 0
    tokens_in: Positive | None = None
    tokens_out: Positive | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.partial + self.blocked + self.failed > 1:
            raise ValueError("'partial', 'blocked' and 'failed' are more than all tasks")
        if self.planners > self.tasks:
            raise ValueError(f"{self.planners} planners have more hands than {self.tasks} tasks")
        return self

    @property
    def planners(self) -> int:
        """Planners in all, the root planner included."""
        return sum(self.subplanners**level for level in range(self.levels))
