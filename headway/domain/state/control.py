"""The control record of a run: the user's pauses, cancellations and changed limits, versioned, each with who, why and
when.

It goes down the tree by signal, so that paused planners start nothing, and into running activities by query, so that
agents stop at their next step. It stands in history and survives restarts and continue-as-new.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.ids import AgentId
from headway.domain.limit_table import Value
from headway.domain.run import RunContext

ANSWERS_KEPT = 200
"""Number of requests whose answer is remembered. An update that is sent again after continue-as-new gets its answer,
and is not carried out twice."""


class Amended(BaseModel):
    """An amendment in the record: the place of its text in the run's own log, and its author."""

    model_config = ConfigDict(frozen=True)

    seq: int
    who: str = ""
    at: float = 0.0


class Hold(BaseModel):
    """A hold on a subtree: its reason, and its start in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    who: str
    why: str
    at: float
    now: bool = False


class Control(BaseModel):
    """The record: holds and cancellations by the agent (or the run's name) at the top of their subtree, and changed
    limits.

    Attributes:
        renewed: Incremented to make running activities return at their next step; they are rescheduled with the current
            limits and amendments.
        recall: Incremented to make all agents give back the budget that they do not need, because a limit was lowered.
        deadline: End of the run's hours, in seconds since the epoch; None if it was not changed since the run began.
        limits: Limits that were changed since the run began, other than the budget and the hours.
        amendments: In order; each is in force from its place in the record on.
    """

    model_config = ConfigDict(frozen=True)

    version: int = 0
    paused: dict[AgentId, Hold] = Field(default_factory=dict)
    cancelled: dict[AgentId, Hold] = Field(default_factory=dict)
    renewed: int = 0
    recall: int = 0
    deadline: float | Literal["none"] | None = None
    limits: dict[str, Value] = Field(default_factory=dict)
    amendments: tuple[Amended, ...] = ()

    def hold_on(self, agent: AgentId) -> Hold | None:
        """The entry that keeps an agent from going on: its own, or that of an agent above it."""
        return _covering(self.paused, agent) or _covering(self.cancelled, agent)

    def stops_now(self, agent: AgentId) -> bool:
        """True if even a running command of the agent must be killed."""
        held = _covering(self.paused, agent)
        return _covering(self.cancelled, agent) is not None or (held is not None and held.now)

    def deadline_of(self, began_with: float | None) -> float | None:
        """End of the run's hours; None when they never end."""
        if self.deadline is None:
            return began_with
        return None if self.deadline == "none" else self.deadline

    def in_force(self, context: RunContext) -> RunContext:
        """The run's context with the limits that its user changed since, for agents that start now."""
        return context.model_copy(update={"deadline": self.deadline_of(context.deadline), "limits": self.limits})

    def with_cancelled(self, target: AgentId, hold: Hold) -> "Control":
        """The record after a subtree was cancelled."""
        cancelled = {**self.cancelled, target: hold}
        return self.model_copy(update={"version": self.version + 1, "cancelled": cancelled})


class ControlBook(BaseModel):
    """The run's own copy of the record, with the answers it gave."""

    control: Control = Control()
    answers: dict[str, str] = {}

    def change(self, **changes: object) -> None:
        """Change fields of the record; its version goes up."""
        self.control = self.control.model_copy(update={"version": self.control.version + 1, **changes})

    def answer(self, request: str, answer: str) -> None:
        """Note the answer to a request; one that was answered before keeps its answer."""
        self.answers.setdefault(request, answer)
        for old in list(self.answers)[:-ANSWERS_KEPT]:
            del self.answers[old]


def _covering(entries: dict[AgentId, Hold], agent: AgentId) -> Hold | None:
    for target, hold in entries.items():
        if agent == target or agent.startswith(f"{target}/"):
            return hold
    return None
