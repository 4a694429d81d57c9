"""What the user holds back: the control record of a run, versioned, each entry with who, why and when.

It goes down the tree by signal, so that paused planners start nothing, and into running activities by query, so that
agents stop at their next step. It stands in history and survives restarts and continue-as-new.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from headway.domain.errors import UserError
from headway.domain.ids import AgentId

ANSWERS_KEPT = 200
"""Requests whose answer is remembered: an update that is sent again after continue-as-new is not carried out twice."""

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class Pause(BaseModel):
    """Hold a subtree at its next step; with `now`, kill the commands that run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    target: AgentId
    who: Word = ""
    why: Word = ""
    now: bool = False


class Resume(BaseModel):
    """Let a subtree go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    target: AgentId
    who: Word = ""
    why: Word = ""


class Hold(BaseModel):
    """Why a subtree is held, and since when (seconds since the epoch)."""

    model_config = ConfigDict(frozen=True)

    who: str
    why: str
    at: float
    now: bool = False


class Control(BaseModel):
    """What is held and what is cancelled, by the agent (or the run's name) whose subtree it is."""

    model_config = ConfigDict(frozen=True)

    version: int = 0
    paused: dict[AgentId, Hold] = Field(default_factory=dict)
    cancelled: dict[AgentId, Hold] = Field(default_factory=dict)

    def hold_on(self, agent: AgentId) -> Hold | None:
        """What keeps an agent from going on: an entry for itself or for anybody above it."""
        return _covering(self.paused, agent) or _covering(self.cancelled, agent)

    def stops_now(self, agent: AgentId) -> bool:
        """Whether even a running command of the agent is to be killed."""
        held = _covering(self.paused, agent)
        return _covering(self.cancelled, agent) is not None or (held is not None and held.now)

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
        """Let a subtree go on. What is held above or below it by an entry of its own stays held."""
        if order.request in self.answers:
            return self.answers[order.request]
        if parked:
            return self._answered(order.request, f"{order.target} goes on with another root planner")
        if order.target not in self.control.paused:
            return self._answered(order.request, f"{order.target} was not paused")
        paused = {target: hold for target, hold in self.control.paused.items() if target != order.target}
        self.control = self.control.model_copy(update={"version": self.control.version + 1, "paused": paused})
        above = self.control.hold_on(order.target)
        more = f", but something above it is still paused: {above.why}" if above is not None else ""
        return self._answered(order.request, f"{order.target} goes on{more}")

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
