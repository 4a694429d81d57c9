"""The facts of a planner's workflow, and their consequences. The same object lives through continue-as-new."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid
from headway.domain.messages import Ask, GrantVersion, StoredHandoff
from headway.domain.planner_turn import Final, Finish, PlanTurn
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount, Compact
from headway.domain.state.children import Children
from headway.domain.state.control import Control
from headway.domain.state.waits import CANCEL_AGAIN_S, HELD_AGAIN_S, Retry
from headway.domain.tree import TreeNode

BATCH_SECONDS = 20.0
"""A sleeping planner wakes this long after the first waiting handoff, so that the ones that follow come with it."""


class PlannerEnd(BaseModel):
    """The handoff that a planner gives when nothing is outstanding any more."""

    status: HandoffStatus
    why: str = ""
    report: int | None = None


class Present(BaseModel):
    """The part of a planner's state that a continued history begins anew.

    Attributes:
        run_id: Of the workflow run: a reset asks for its turns under other keys.
        long: The service suggests to continue as new; `settled`: no message is being handled.
        turn: The turn that is under way; `checking`: the check is.
        cancelling: Everything below is being cancelled, until `cancel_until`, next at `cancel_at`, then after
            `cancel_again_s`, `cancel_tries` times so far; `cancel_over`: what did not answer by then is given up.
        all_gone: Everything above was found closed, the run included: nothing takes the handoff.
        asked_with: The last ask to the parent, since it answered.
        to_inform: Children that may not know the control record; `to_cancel`: children that a turn cancelled.
        audit_due: An audit is due at once: an adopted child was found, or a closed one in a cancellation.
        below: Digests of sub-planners.
        digest, digest_at: The last digest that was sent, and when.
        blind_s: The wait after the next turn that was held for a reason unknown here; `blind_until`: its end.
        drop_at: Before this no child is dropped: the store refused the last handoff of one.
        troubles: Failed effects that are tried again, in words, by their subject.
        handing_up: The handoff that is being stored; `stored`: it is; `told`: the parent has it.
    """

    run_id: str = ""
    long: bool = False
    settled: bool = True
    turn: PlanTurn | None = None
    checking: bool = False
    cancelling: bool = False
    cancel_until: float = 0.0
    cancel_at: float = 0.0
    cancel_again_s: float = CANCEL_AGAIN_S
    cancel_tries: int = 0
    cancel_over: bool = False
    all_gone: bool = False
    asked_with: Ask | None = None
    to_inform: list[ChildKey] = []
    to_cancel: list[ChildKey] = []
    audit_due: bool = False
    below: dict[ChildKey, TreeNode] = {}
    digest: TreeNode | None = None
    digest_at: float = 0.0
    blind_s: float = HELD_AGAIN_S
    blind_until: float = 0.0
    drop_at: float = 0.0
    troubles: dict[str, str] = {}
    retry: Retry = Retry(again_s=0.0)
    handing_up: PlannerEnd | None = None
    stored: StoredHandoff | None = None
    told: bool = False

    @property
    def busy(self) -> bool:
        """True while an activity of the planner is under way."""
        return self.turn is not None or self.checking


class PlannerFacts(BaseModel):
    """Everything that a planner's workflow knows.

    Attributes:
        seq: Last sequence number of the planner's log that its history knows.
        idle_waits: Number of waits with nothing outstanding, since something was outstanding.
        give_ups: Number of turns that the planner's agent gave up, since one waited for something, or finished.
        rest: The end of the last turn: `wait` and `finish` let the planner sleep, `none` does not.
        need: The amount that the interrupted turn's next model call needs.
        called: The parent is short of this amount, and wants the unneeded budget back; None once it was given.
        grant_version: See `Ask.grant_version`.
        recall: The newest recall that it heard of, from the control record or from a child.
        returning: It gives back its free budget until its parent answers, because a limit was lowered.
        closing: Set when no more turns are taken: the planner waits for outstanding children, then hands up.
        control: The user's control record, as the parent last told.
        parked_until: No turn before this: the model refuses all agents until then.
        listed_as: Its state in lists, see `stands`.
        final_shown: True if the facts against its `finish(done)` were shown, which happens once.
        guard: The facts for the turn that shows them; kept until that turn is taken, so that the check runs once.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")
    context: RunContext
    me: AgentId
    title: str
    scope: Ref
    depth: int
    children: Children
    turn: int = 1
    turn_key: str = ""
    seq: int = -1
    pinned: Oid | None = None
    board: str = ""
    inbox: list[HandoffNotice] = []
    steers: list[Ref] = []
    rest: Literal["none", "wait", "finish"] = "none"
    last_finish: Finish | None = None
    final_shown: bool = False
    guard: Final | None = None
    nudge: bool = False
    idle_waits: int = 0
    give_ups: int = 0
    fresh: bool = False
    closing: PlannerEnd | None = None
    need: Compact = Amount()
    called: Compact | None = None
    grant_version: GrantVersion = (0, 0)
    returning: bool = False
    recall: int = 0
    first_waiting: float | None = None
    last_heard: float = 0.0
    handled: int = 0
    signals: int = 0
    control: Control = Control()
    parked_until: float = 0.0
    listed_as: str = "running"
    present: Present = Field(default_factory=Present, exclude=True)

    @property
    def held(self) -> bool:
        """True if this planner may start neither a turn nor a child."""
        return self.control.hold_on(self.me) is not None

    def stands(self, now: float) -> str:
        """State of the planner, for lists: the obstacle that keeps it from going on, if there is one."""
        if self.held:
            return "paused"
        if self.parked_until > now:
            return "parked"
        return "waits for budget" if self.need else "running"

    @property
    def deadline(self) -> float | None:
        """End of the run's hours; None when they never end."""
        return self.control.deadline_of(self.context.deadline)

    def doing(self, now: float) -> str:
        """The planner's present step, for readers of the tree."""
        present = self.present
        if present.stored is not None:
            return present.stored.status
        if present.handing_up is not None:
            return "hands up"
        if present.busy:
            return "checks the trunk" if present.checking else "thinks"
        if self.held:
            return "is paused"
        return "is parked" if self.parked_until > now else "waits"

    def wake_at(self, now: float) -> float | None:
        """Time of the next turn, or of the end; None while the planner sleeps until a message comes in."""
        if self.closing is not None:
            return None if self.children.open else now
        due = self._due(now)
        return None if due is None else max(due, self.parked_until, self.present.blind_until)

    def _due(self, now: float) -> float | None:
        if self.need:
            return None
        urgent = self.steers or any(n.status is not HandoffStatus.DONE for n in self.inbox)
        if self.rest == "none" or urgent or not self.children.open:
            return now
        return self.first_waiting + BATCH_SECONDS if self.first_waiting is not None else None

    @property
    def said_finish(self) -> bool:
        """True if the last word was `finish`, and nothing came or will come after it."""
        return self.rest == "finish" and not self.children.open and not self.inbox and not self.steers

    def wants_final(self) -> bool:
        """True when the planner said `finish(done)` and has not yet seen the facts against it."""
        done = self.last_finish is not None and self.last_finish.status is HandoffStatus.DONE
        return self.closing is None and self.said_finish and done and not self.final_shown

    def end_due(self) -> PlannerEnd | None:
        """The handoff of the planner; None before it is time for it."""
        if self.children.open and not self.present.cancel_over:
            return None
        if self.closing is not None:
            return self.closing
        if self.last_finish is not None and self.said_finish and not self.wants_final():
            finish = self.last_finish
            return PlannerEnd(status=finish.status, why=finish.summary, report=finish.seq)
        return None

    @property
    def lends(self) -> bool:
        """True if children may get an answer; False while the planner gives its free budget back.

        A planner that gets no more has no answer to wait for: it gives back as well, and tells its children that this
        is all. Neither has one that has nothing free: it tells the children that hold the most of a task that they get
        no more.
        """
        return self.children.no_more or not self.returning or not self.children.account.free
