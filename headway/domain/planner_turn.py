"""A planner's turn as the workflow asks for it and takes it back: refs, ids and counts, never text of any length."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.check import CheckVerdict
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control

HANDOFFS_PER_TURN = 100
SPAWNS_PER_TURN = 100
CANCELS_PER_TURN = 100
CALLS_PER_TURN = 30
"""Model calls after which a turn ends without a decision."""
ACTIVE_MINUTES_PER_TURN = 15


class Final(BaseModel):
    """Facts that a planner sees once after `finish(done)`, before that counts: the newest check."""

    model_config = ConfigDict(frozen=True)

    verdict: CheckVerdict | None = None


class PlanTurn(BaseModel):
    """Argument of `plan_turn`.

    Attributes:
        key: Names this turn in the log: planner, workflow run and turn. A retry of the activity has the same key and
            resumes; a turn after a reset has another one and forks the log at `from_seq`.
        from_seq: Last sequence number of the log that the planner's history knows; -1 before the first turn.
        scope: Ref of the planner's scope.
        inbox: Handoffs that this turn takes in, oldest first.
        steers: Messages of the user to this planner.
        allowance: The most that the planner's turns may use up in all, over its whole life.
        balance: The part of the planner's grant that is neither used up nor lent.
        more: The planner's parent lends more when that is used up.
        renewed, amendments: As in `WorkOrder`.
        spawnable: Tasks that it may still ask for now, after every cap.
        may_delegate: True if a sub-planner may be spawned (`limits.depth`).
        fresh: Open a new epoch from the scratchpad and the facts, because the agent gave up in the last one.
        final: Set once, after the first `finish(done)`.
        nudge: The planner waited with nothing outstanding.
    """

    model_config = ConfigDict(frozen=True)

    context: RunContext
    me: AgentId
    key: str
    turn: int
    from_seq: int
    scope: Ref
    depth: int
    inbox: tuple[HandoffNotice, ...] = ()
    steers: tuple[Ref, ...] = ()
    allowance: Amount
    balance: Amount
    more: bool = False
    spawnable: int
    may_delegate: bool
    fresh: bool = False
    final: Final | None = None
    nudge: bool = False
    renewed: int = 0
    amendments: tuple[int, ...] = ()


class ChildKind(StrEnum):
    """Kind of a planner's child; one letter, because a planner's state holds up to a thousand."""

    TASK = "t"
    PLANNER = "p"


class Spawned(BaseModel):
    """A child that the planner asked for. Its text lies at `ref` in the planner's log."""

    model_config = ConfigDict(frozen=True)

    key: ChildKey
    kind: ChildKind
    title: str
    seq: int
    item: int = 0
    priority: Annotated[int, Field(ge=-1, le=1)] = 0


class Decision(StrEnum):
    """End of a turn; closed.

    `go_on`: the next turn starts at once. `out_of_budget`: the same turn is asked for again when more was granted.
    `suspended`: it is asked for again when the hold or the wait for its model is over. `renewed`: it is asked for again
    at once, with the limits and amendments that are in force now.
    `gave_up`: the agent cannot go on; a fresh epoch may.
    """

    GO_ON = "go_on"
    WAIT = "wait"
    FINISH = "finish"
    OUT_OF_BUDGET = "out_of_budget"
    SUSPENDED = "suspended"
    RENEWED = "renewed"
    GAVE_UP = "gave_up"


class Finish(BaseModel):
    """The planner's last word: where its report lies, and a summary short enough to be shown."""

    model_config = ConfigDict(frozen=True)

    status: HandoffStatus
    seq: int
    summary: str


class TurnOutcome(BaseModel):
    """Result of `plan_turn`.

    Attributes:
        seq: Last sequence number of the log at the turn's end.
        own: The amount that all the planner's turns used up so far, this one included: a total, so that a retry counts
            once.
        recovered: Children asked for in the suffix of the log that a fork abandoned; they are out there. With those
            in `spawned` at most 100: the rest comes with the next turns.
        need: The amount that the next model call needs, after `out_of_budget`.
        call: The worst case of the planner's next model call, at its present size.
        until: Time from which a turn that was `suspended` for its model is worth another try, in seconds since the
            epoch.
        board: The planner's scratchpad for the Web UI, cut to 4 kB.
        pinned: The trunk commit that the turn looked at.
        told: Number of handoffs of `PlanTurn.inbox`, from its start, that the turn showed; -1 for all of them.
        steered: The same of `PlanTurn.steers`.
        control: The record that suspended it: the signal that tells its workflow may never come.
    """

    model_config = ConfigDict(frozen=True)

    decision: Decision
    seq: int
    own: Amount
    spawned: tuple[Spawned, ...] = ()
    cancelled: tuple[ChildKey, ...] = ()
    recovered: tuple[Spawned, ...] = ()
    finish: Finish | None = None
    need: Amount = Amount()
    call: Amount = Amount()
    until: float = 0.0
    why: str = ""
    board: str = ""
    pinned: Oid | None = None
    told: int = -1
    steered: int = -1
    control: Control | None = None
