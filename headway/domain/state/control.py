"""The control record of a run: the user's pauses, cancellations and changed limits, versioned, each with who, why and
when.

It goes down the tree by signal, so that paused planners start nothing, and into running activities by query, so that
agents stop at their next step. It stands in history and survives restarts and continue-as-new.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.limit_table import CHANGEABLE, Value, changes_model
from headway.domain.run import RunContext
from headway.domain.spec import Text

ANSWERS_KEPT = 200
"""Number of requests whose answer is remembered. An update that is sent again after continue-as-new gets its answer,
and is not carried out twice."""

KEPT_APART = ("tokens", "tasks", "usd", "hours")
"""Limits that the record does not carry: the root planner's account holds the budget, and `deadline` the hours."""

MAX_AMENDMENTS = 100
MAX_AMENDMENT_CHARS = 20_000

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Request = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Order(BaseModel):
    """An order of a run's user. An update and a signal of its name give it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]

    request: Request
    who: Word = ""
    why: Word = ""


class Pause(Order):
    """Hold a subtree at its next step; with `now`, kill the commands that run."""

    name: ClassVar[str] = "pause"

    target: AgentId
    now: bool = False


class Resume(Order):
    """Let a subtree go on."""

    name: ClassVar[str] = "resume"

    target: AgentId


class _SetLimits(Order):
    """Change the limits of the whole run; a limit that is left out stays as it is.

    It has a field for each limit of the table that may change while a run goes on.
    """

    name: ClassVar[str] = "set_limits"

    @property
    def changes(self) -> dict[str, Value]:
        """The new limits by name."""
        return {name: value for name in CHANGEABLE if (value := getattr(self, name)) is not None}


if TYPE_CHECKING:

    class SetLimits(_SetLimits):
        def __init__(self, request: str, who: str = "", why: str = "", **changes: Value | None) -> None: ...

else:
    SetLimits = changes_model(_SetLimits, "SetLimits")


class Amend(Order):
    """Text that every later epoch and task of the run carries."""

    name: ClassVar[str] = "amend"

    text: Annotated[Text, Field(max_length=MAX_AMENDMENT_CHARS)]


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

    def pause(self, order: Pause, now: float) -> str:
        """Hold a subtree. The same request again gets the same answer and changes nothing."""
        if order.request in self.answers:
            return self.answers[order.request]
        hold = Hold(who=order.who, why=order.why, at=now, now=order.now)
        paused = {**self.control.paused, order.target: hold}
        self.control = self.control.model_copy(update={"version": self.control.version + 1, "paused": paused})
        how = "at once" if order.now else "at the next step of each agent"
        return self._answered(order.request, f"{order.target} is paused: it holds {how}")

    def resume(self, order: Resume, *, parked: bool = False) -> str:
        """Let a subtree go on. A part of it that has an entry of its own stays held, and so does all of it under a held
        parent.

        `parked`: the run waited for its user because its root planner failed, and gets another one.
        """
        if order.request in self.answers:
            return self.answers[order.request]
        was_paused = order.target in self.control.paused
        if was_paused:
            self._change(
                paused={target: hold for target, hold in self.control.paused.items() if target != order.target}
            )
        elif not parked:
            return self._answered(order.request, f"{order.target} was not paused")
        above = self.control.hold_on(order.target)
        how = " with another root planner" if parked else ""
        lifted = ", its pause is lifted" if parked and was_paused else ""
        more = f", but something above it is still paused: {above.why}" if above is not None else ""
        return self._answered(order.request, f"{order.target} is resumed{how}{lifted}{more}")

    def amend(self, order: Amend, seq: int, now: float) -> str:
        """Put an amendment on the record, once its text is stored."""
        if order.request in self.answers:
            return self.answers[order.request]
        amendments = (*self.control.amendments, Amended(seq=seq, who=order.who, at=now))
        self._change(amendments=amendments, renewed=self.control.renewed + 1)
        return self._answered(
            order.request, f"amendment {len(amendments)} recorded: every agent gets it with its next step"
        )

    def set_limits(
        self,
        order: SetLimits,
        answer: str,
        *,
        lowered: bool,
        deadline: float | Literal["none"] | None,
    ) -> str:
        """Note that limits were changed, so that running agents hear of the changes that concern them."""
        recorded = {name: value for name, value in order.changes.items() if name not in KEPT_APART}
        if lowered or deadline is not None or recorded:
            self._change(
                recall=self.control.recall + int(lowered),
                renewed=self.control.renewed + 1,
                deadline=self.control.deadline if deadline is None else deadline,
                limits=self.control.limits | recorded,
            )
        return self._answered(order.request, answer)

    def refuse(self, request: str, why: str) -> str:
        """Answer a request that cannot be carried out; one that was answered before keeps its answer."""
        return self.answers.get(request) or self._answered(request, why)

    def _change(self, **changes: object) -> None:
        self.control = self.control.model_copy(update={"version": self.control.version + 1, **changes})

    def _answered(self, request: str, answer: str) -> str:
        self.answers[request] = answer
        for old in list(self.answers)[:-ANSWERS_KEPT]:
            del self.answers[old]
        return answer


def check_target(target: AgentId, run: str) -> None:
    """Refuse a target of another run, before anything of it stands in history.

    Raises:
        UserError: It is not the run's name or the id of an agent below it.
    """
    if target != run and not target.startswith(f"{run}/"):
        raise UserError(f"target: '{target}' is not of run '{run}'", f"Give '{run}' itself or the id of an agent.")


def _covering(entries: dict[AgentId, Hold], agent: AgentId) -> Hold | None:
    for target, hold in entries.items():
        if agent == target or agent.startswith(f"{target}/"):
            return hold
    return None
