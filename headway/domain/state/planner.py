"""A planner's state and its rules: taking in messages, and deciding the next step. The same object lives through
continue-as-new.

No I/O and no clock: `now` is given, in seconds since the epoch, by the workflow's own time.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid, key_of
from headway.domain.messages import Ask, FoundClosed, Grant, GrantVersion
from headway.domain.planner_turn import (
    HANDOFFS_PER_TURN,
    SPAWNS_PER_TURN,
    Decision,
    Final,
    Finish,
    PlanTurn,
    TurnOutcome,
)
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import CALLS, Amount, Compact
from headway.domain.state.children import MAX_OUTSTANDING, Outstanding
from headway.domain.state.control import Control

BATCH_SECONDS = 20.0
"""A sleeping planner wakes this long after the first waiting handoff, so that the ones that follow come with it."""
IDLE_WAITS = 3
FRESH_EPOCHS = 3
WORTH_GIVING = 4
"""A planner gives budget back only if this number times the amount covers the lack of its parent."""
SIGNALS_PER_RUN = 5_000
"""The server refuses the 10,001st signal of a workflow run, and does not count them in its suggestion to continue."""


class PlannerEnd(BaseModel):
    """The handoff that a planner gives when nothing is outstanding any more."""

    status: HandoffStatus
    why: str = ""
    report: int | None = None


class PlannerState(BaseModel):
    """Everything that a planner's workflow knows.

    Attributes:
        seq: Last sequence number of the planner's log that its history knows.
        idle_waits: Number of waits with nothing outstanding, since something was outstanding.
        give_ups: Number of turns that the planner's agent gave up, since one waited for something, or finished.
        rest: The end of the last turn: `wait` and `finish` let the planner sleep, `none` does not.
        need: The amount that the interrupted turn's next model call needs.
        called: The parent is short of this amount, and wants the unneeded budget back; None once it was given.
        grant_version: See `Ask.grant_version`.
        returning: It gives back its free budget until its parent answers, because a limit was lowered.
        closing: Set when no more turns are taken: the planner waits for outstanding children, then hands up.
        control: The user's control record, as the parent last told; `control_told` is the version that the children
            know.
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
    books: Outstanding
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
    first_waiting: float | None = None
    last_heard: float = 0.0
    handled: int = 0
    signals: int = 0
    control: Control = Control()
    control_told: int = 0
    parked_until: float = 0.0
    listed_as: str = "running"

    def take_handoff(self, notice: HandoffNotice, now: float) -> bool:
        """Book a handoff for the next turn. False when it came before."""
        if not self.books.take(notice):
            return False
        self.inbox.append(notice)
        self.first_waiting = self.first_waiting if self.first_waiting is not None else now
        self.last_heard = now
        self.handled += 1
        return True

    def take_closed(self, found: FoundClosed, known: tuple[ChildKey, ...], now: float) -> tuple[ChildKey, ...] | None:
        """Book a child that an audit found closed, and adopt the agents that work on below it. Returns the adopted
        children.

        None when an agent below it told of its end meanwhile: its usage would count twice. The child is audited again.
        """
        ours = tuple(key for key in known if key.startswith(f"{found.child}/"))
        if self.books.known_below((found.child,)) != ours:
            return None
        adopted = tuple(orphan.key for orphan in found.orphans if self.books.adopt(orphan, found.child))
        if not found.more:
            self.take_handoff(found.notice, now)
        return adopted

    def take_grant(self, grant: Grant) -> None:
        """Book the parent's grant so far."""
        purse = self.books.purse
        if grant.grant_version > self.grant_version:  # a reset forgot that this much was given back
            purse.granted, self.grant_version = grant.total, grant.grant_version
        elif grant.grant_version == self.grant_version:
            self.returning = self.returning and purse.granted.covers(grant.total)
            purse.granted = purse.granted.most(grant.total)
        self.books.no_more = self.books.no_more or grant.final

    def take_control(self, control: Control) -> None:
        """Take the user's control record; an older one that comes late changes nothing."""
        if control.version > self.control.version:
            self.returning = self.returning or control.recall > self.control.recall
            self.control = control
            self.parked_until = 0.0  # a user who pauses and resumes wants it tried now

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

    def tick(self, now: float) -> None:
        """Book the consequences of time and of the purse alone."""
        if self.deadline is not None and now >= self.deadline:
            self._close_for_hours()
        if self.need and self.books.purse.free.covers(self.need):
            self.need = Amount()
        if self.need and self.books.no_more and not self.books.children:
            self.close(HandoffStatus.PARTIAL, "the budget is used up")

    def _close_for_hours(self) -> None:
        """The run's hours end. A last word that was said in time stands, also where nothing was held against it yet."""
        finish = self.last_finish if self.said_finish else None
        if finish is not None and self.closing is None:
            self.closing = PlannerEnd(status=finish.status, why=finish.summary, report=finish.seq)
        self.close(HandoffStatus.PARTIAL, "the run's hours are used up")

    def close(self, status: HandoffStatus, why: str) -> None:
        """Take no more turns and ask for no more: wait for outstanding children, then hand up.

        A child that still asks would otherwise wait for an answer, and the planner for the child.
        """
        self.closing = self.closing or PlannerEnd(status=status, why=why)
        self.books.no_more = True

    def next_turn(self, run_id: str, final: Final | None = None) -> PlanTurn:
        """The argument of the turn that is due; `run_id` is the workflow run's: a reset asks under a new key."""
        purse, free = self.books.purse, self.books.purse.free
        purse.aside = Amount()
        purse.aside = purse.turn()
        # Kept over continue-as-new: an interrupted turn must come back to its own place in the log.
        self.turn_key = self.turn_key or f"{run_id}/{self.turn}"
        spawnable = min(
            SPAWNS_PER_TURN,
            self.context.open_tasks - self.books.tasks_open,
            MAX_OUTSTANDING - len(self.books.children),
        )
        if self.depth == 1 or self.books.no_more:
            # The parent has no more to give. Otherwise tasks beyond the slice wait, and the parent is asked for them.
            spawnable = min(spawnable, free.tasks - self.books.waiting)
        return PlanTurn(
            context=self.control.in_force(self.context),
            me=self.me,
            key=self.turn_key,
            turn=self.turn,
            from_seq=self.seq,
            scope=self.scope,
            depth=self.depth,
            inbox=tuple(self.inbox[:HANDOFFS_PER_TURN]),
            steers=tuple(self.steers),
            allowance=purse.own + purse.aside,
            balance=free,
            more=self.depth > 1 and not self.books.no_more,
            spawnable=max(0, spawnable),
            may_delegate=self.depth < self.context.depth and len(self.books.children) < MAX_OUTSTANDING,
            fresh=self.fresh,
            final=final,
            nudge=self.nudge,
            renewed=self.control.renewed,
            amendments=tuple(amended.seq for amended in self.control.amendments),
        )

    def take_turn(self, asked: PlanTurn, outcome: TurnOutcome, now: float) -> tuple[ChildKey, ...]:
        """Book a turn's decisions. Returns the started children that must be cancelled."""
        purse = self.books.purse
        purse.own, purse.aside = purse.own.most(outcome.own), Amount()
        need, left = outcome.need, (asked.allowance - outcome.own).most(Amount())
        if need and left.covers(need):
            need += left.where(need)  # with only that much it would say the same again, at once
        purse.call = (outcome.call or purse.call).most(need)
        if outcome.decision in {Decision.OUT_OF_BUDGET, Decision.SUSPENDED, Decision.RENEWED}:
            self.need, self.parked_until = need, outcome.until
            return ()
        self.turn += 1
        self.turn_key, self.guard = "", None
        self.seq = outcome.seq
        # The handoffs that the turn really showed: a turn that was answered twice was asked with fewer than it is asked
        # now.
        self.inbox = self.inbox[outcome.told if outcome.told >= 0 else len(asked.inbox) :]
        self.steers = self.steers[outcome.steered if outcome.steered >= 0 else len(asked.steers) :]
        self.first_waiting = now if self.inbox else None
        self.fresh = self.nudge = False
        self.board, self.pinned = outcome.board or self.board, outcome.pinned
        self.final_shown = self.final_shown or asked.final is not None
        for spawned in outcome.spawned:
            self.books.ask_for(spawned)
        for spawned in outcome.recovered:
            self.books.ask_for(spawned, recovered=True)
        self._settle(outcome)
        return self.books.mark_cancelled(outcome.cancelled)

    def _settle(self, outcome: TurnOutcome) -> None:
        idle = not self.books.children and not self.inbox and not self.steers
        waited_idle = outcome.decision is Decision.WAIT and idle
        gave_up = outcome.decision is Decision.GAVE_UP
        # Only progress resets them: a planner that waits in vain and gives up in turn has to end.
        if not idle or outcome.decision is Decision.FINISH:
            self.idle_waits = 0
        # A planner whose conversation is refused may ask for the same tasks again and again.
        if outcome.decision in {Decision.WAIT, Decision.FINISH} and not idle:
            self.give_ups = 0
        self.idle_waits += waited_idle
        self.give_ups += gave_up
        self.nudge, self.fresh = waited_idle, gave_up
        match outcome.decision:
            case Decision.WAIT:
                self.rest = "wait"
            case Decision.FINISH:
                self.rest, self.last_finish = "finish", outcome.finish
            case _:
                self.rest = "none"
        if self.idle_waits >= IDLE_WAITS:
            self.close(HandoffStatus.PARTIAL, "the planner waited three times with nothing outstanding")
        if self.give_ups > FRESH_EPOCHS:
            self.close(HandoffStatus.FAILED, f"the planner's agent gave up: {outcome.why}")

    def wake_at(self, now: float) -> float | None:
        """Time of the next turn, or of the end; None while the planner sleeps until a message comes in."""
        if self.closing is not None:
            return None if self.books.children else now
        due = self._due(now)
        return None if due is None else max(due, self.parked_until)

    def _due(self, now: float) -> float | None:
        if self.need:
            return None
        urgent = self.steers or any(n.status is not HandoffStatus.DONE for n in self.inbox)
        if self.rest == "none" or urgent or not self.books.children:
            return now
        return self.first_waiting + BATCH_SECONDS if self.first_waiting is not None else None

    @property
    def said_finish(self) -> bool:
        """True if the last word was `finish`, and nothing came or will come after it."""
        return self.rest == "finish" and not self.books.children and not self.inbox and not self.steers

    def wants_final(self) -> bool:
        """True when the planner said `finish(done)` and has not yet seen the facts against it."""
        done = self.last_finish is not None and self.last_finish.status is HandoffStatus.DONE
        return self.closing is None and self.said_finish and done and not self.final_shown

    def ending(self) -> PlannerEnd | None:
        """The handoff of the planner; None before it is time for it."""
        if self.books.children:
            return None
        if self.closing is not None:
            return self.closing
        if self.last_finish is not None and self.said_finish and not self.wants_final():
            finish = self.last_finish
            return PlannerEnd(status=finish.status, why=finish.summary, report=finish.seq)
        return None

    def shortfall(self) -> Amount:
        """The amount to ask the parent for; zero when nothing waits for it."""
        if self.books.no_more or self.closing is not None:
            return Amount()
        return self.books.shortfall().most(self._lacking_calls(CALLS))

    def _lacking_calls(self, calls: int) -> Amount:
        """The amount missing for so many calls of the interrupted turn; nothing when there is none, or it can go on."""
        if self.books.purse.free.covers(self.need):
            return Amount()
        return (self.need.times(calls) - self.books.purse.free).most(Amount()).where(self.need)

    def ask(self, *, busy: bool) -> Ask:
        """The ask that is due to the parent, with the missing amount or none. `busy`: a turn is running, or due.

        The root planner asks only when nothing goes on, because it would ask the user: the budget that its children
        give back comes first.
        """
        stuck, need = self.books.stuck and not busy, self.shortfall()
        if self.depth == 1 and not stuck:
            need = Amount()
        return Ask(
            child=key_of(self.me),
            granted=self.books.purse.granted,
            need=need,
            stuck=stuck,
            grant_version=self.grant_version,
        )

    @property
    def lends(self) -> bool:
        """True if children may get an answer; False while the planner gives its free budget back.

        A planner that gets no more has no answer to wait for: it gives back as well, and tells its children that this
        is all. Neither has one that has nothing free: it tells the children that hold the most of a task that they get
        no more.
        """
        return self.books.no_more or not self.returning or not self.books.purse.free

    def give_back(self) -> bool:
        """Give back the part that is neither used up nor lent, once a limit was lowered. True if there was one."""
        free = self.books.purse.free
        if not self.returning or not free:
            return False
        self.books.purse.granted -= free
        self.grant_version = self._next_version
        return True

    @property
    def _next_version(self) -> GrantVersion:
        recall, times = max(self.grant_version, (self.control.recall, 0))
        return recall, times + 1

    def give_spare(self) -> bool:
        """Give the parent, which is short, the part that nothing here waits for or needs soon. True when there was
        something.

        A part so small that it does not help the parent is kept: each time costs two messages.
        """
        spare, lack = self.books.purse.lendable, self.called
        waits = self.books.anything_waits or self.need or self.returning or self.books.no_more
        if lack is None or waits or not spare.times(WORTH_GIVING).covers(lack):
            return False
        self.books.purse.granted -= spare
        self.grant_version, self.called = self._next_version, None
        return True

    def to_call_back(self) -> tuple[tuple[ChildKey, ...], Amount]:
        """Sub-planners to ask for their unneeded budget, and the amount that is missing here or above."""
        lack = self.books.least_shortfall() or self.called or Amount()
        if not lack or self.books.no_more:
            return (), lack
        return self.books.to_call_back(for_parent=self.called is not None), lack

    def continue_due(self, *, suggested: bool) -> bool:
        """True if the history is long enough to be closed at the next quiet moment."""
        return suggested or self.handled >= self.context.continue_after or self.signals >= SIGNALS_PER_RUN

    def carried(self) -> "PlannerState":
        """The state as the next workflow run takes it over."""
        books = self.books.settled_before(self.turn)
        return self.model_copy(update={"handled": 0, "signals": 0, "books": books})
