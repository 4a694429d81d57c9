"""A task's state: its worker's attempts, its grant, its waits, and its end."""

from typing import Any, assert_never

from pydantic import BaseModel, ConfigDict

from headway.domain.commands import (
    Abandon,
    Call,
    Cancelled,
    Command,
    Failed,
    Launch,
    ListAs,
    Record,
    SignalAbove,
)
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import key_of
from headway.domain.limits import short_words
from headway.domain.messages import (
    Ask,
    EndStatus,
    EndWorker,
    Grant,
    StoredHandoff,
    StoreHandoff,
    TaskOrder,
    TaskResult,
    WorkerDone,
    WorkerSuspended,
)
from headway.domain.model_outage import clock_words
from headway.domain.printable import for_markdown
from headway.domain.state.budget import Amount, Bill
from headway.domain.state.control import Control
from headway.domain.state.grant import TaskGrant
from headway.domain.state.waits import HELD_AGAIN_S, WHY_CHARS, Retry, asked_again_after, held_again_after

END_TRIES = 2
"""Tries of `end_worker`, which keeps the work that did not land, before the handoff is stored without it."""


class TaskEnds(BaseModel):
    """The task ends by the harness's word."""

    model_config = ConfigDict(frozen=True)

    status: EndStatus
    why: str


class GivesBack(BaseModel):
    """The task gives back the unneeded part of its grant, because a limit was lowered."""


class TaskState(BaseModel):
    """Everything that a task's workflow knows.

    Attributes:
        resumed: The worker was suspended at least once in this attempt.
        working: Its activity is under way; `stopping`: it was asked to cancel.
        suspended: The last end of that activity, while the worker is suspended.
        spent: The amount that it used up; None while the worker works, or did not say it.
        need: The amount that it asks its planner for, until it has an answer.
        ask_at: Time of the next ask; `ask_again_s`: the wait after that.
        not_before: The worker is not asked again before this; `parked`: because its model refuses calls.
        ends: The task ends by the harness's word.
        not_kept: Reason why the work that did not land is not kept yet.
        done: The stored handoff; `told`: its planner has it.
    """

    order: TaskOrder
    grant: TaskGrant
    control: Control
    ask_again_s: float
    retry: Retry
    attempt: int = 1
    resumed: bool = False
    working: bool = False
    stopping: bool = False
    cancelled: bool = False
    suspended: WorkerSuspended | None = None
    spent: Amount | None = Amount()
    need: Amount | None = None
    ask_at: float = 0.0
    not_before: float = 0.0
    parked: bool = False
    blind_s: float = HELD_AGAIN_S
    ends: TaskEnds | None = None
    end_tries: int = 0
    not_kept: str = ""
    done: WorkerDone | None = None
    told: bool = False
    listed_as: str = "running"

    @classmethod
    def first(cls, order: TaskOrder) -> "TaskState":
        """The state in which a task begins."""
        return cls(
            order=order,
            grant=TaskGrant.first(order.grant, order.control.recall, order.context.sizes.task_call),
            control=order.control,
            ask_again_s=order.context.audit_s,
            retry=Retry(again_s=order.context.again_s),
        )

    @property
    def deadline(self) -> float | None:
        """End of the run's hours; None when they never end."""
        return self.control.deadline_of(self.order.context.deadline)

    @property
    def parked_until(self) -> float:
        """Time of the next try, while its model refuses calls; else 0."""
        return self.not_before if self.parked else 0.0

    @property
    def result(self) -> TaskResult:
        """The workflow's result, once the handoff is stored."""
        assert self.done is not None
        done = self.done
        return TaskResult(status=done.status, summary=done.summary, attempts=self.attempt, spent=Bill.of(done.spent))

    @property
    def notice(self) -> HandoffNotice | None:
        """The message to its planner, once the handoff is stored."""
        done, key = self.done, key_of(self.order.me)
        if done is None:
            return None
        return HandoffNotice(child=key, status=done.status, seq=done.ref.seq, spent=done.spent)

    @property
    def ask(self) -> Ask | None:
        """The message to its planner while it waits for budget."""
        return None if self.need is None else self.grant.ask(key_of(self.order.me), self.need)

    @property
    def stands(self) -> tuple[str, str]:
        """State of the task, and its reason in words."""
        hold = self.control.hold_on(self.order.me)
        if self.done is not None:
            return self.done.status, self.done.summary[:WHY_CHARS]
        if self.retry.why:
            return "ending", self.retry.why
        if self.ends is not None or self.working:
            return self.listed_as, ""
        if self.need is not None:
            return "waits for budget", f"needs {short_words(self.need)}"
        if hold is not None:
            return "paused", hold.why
        if self.parked:
            return "parked", f"the model refuses calls; next try at {clock_words(self.not_before)}"
        return "running", ""

    def details(self) -> str:
        """How the task stands, in Markdown."""
        state, why = self.stands
        attempt = f"attempt {self.attempt} of {self.order.context.attempts}"
        return f"**{state}**{f': {for_markdown(why)}' if why else ''} · {attempt}"

    # Events

    def apply(self, event: Any, now: float) -> bool:
        """Book an event. True if it may change what is decided."""
        del now
        match event:
            case Grant():
                before = self.grant.model_copy()
                self.grant.take(event)
                if self.grant != before:
                    self.need = None
            case Control():
                return self._learn(event)
            case Cancelled():
                self.cancelled = True
            case _:
                return False
        return True

    def _learn(self, control: Control | None) -> bool:
        if control is None or control.version <= self.control.version:
            return False
        self.control = control
        self._may_try()  # a user who pauses and resumes wants it tried now
        return True

    def _may_try(self) -> None:
        self.not_before, self.parked = 0.0, False

    def begin(self, command: Command, now: float) -> None:
        """Book a command that is performed now."""
        match command:
            case Launch():
                self.working, self.suspended, self.spent = True, None, None
                self._may_try()
            case ListAs(state=state):
                self.listed_as = state
            case SignalAbove(message=Ask()):
                self.ask_at = now + self.ask_again_s
                self.ask_again_s = asked_again_after(self.ask_again_s)
            case Record(event=TaskEnds() as ends):
                self.ends = ends
            case Record(event=GivesBack()):
                self._give_back(now)
            case Abandon():
                self.stopping = True
            case _:
                pass

    def finish(self, command: Command, result: Any, now: float) -> None:
        """Book the result of a command."""
        match command, result:
            case Launch(), _:
                self.working = self.stopping = False
                self._take_outcome(result, now)
            case SignalAbove(message=Ask()), False:
                self.grant.final, self.need = True, None
            case SignalAbove(message=HandoffNotice()), _:
                self.told = True  # a closed run takes no handoff; the stored one is found by a reader of its logs
            case Call(order=EndWorker()), Failed(why=why):
                self.end_tries, self.not_kept = self.end_tries + 1, why
                self.retry.failed(f"keeping its work failed, which is tried again: {why}", now, grows=False)
                self.retry.at = now if self.end_tries >= END_TRIES else self.retry.at
            case Call(order=StoreHandoff()), Failed(why=why):
                self.retry.failed(f"storing the handoff failed, which is tried again: {why}", now)
            case Call(), WorkerDone():
                self.done = result
            case Call(), StoredHandoff():
                self.done = WorkerDone(ref=result.ref, status=result.status, summary=result.summary, spent=result.spent)
            case _:
                pass

    def _take_outcome(self, outcome: WorkerDone | WorkerSuspended | Failed, now: float) -> None:
        if self.cancelled:
            return  # the handoff is that of a cancelled task, unless its log holds one already
        self.resumed = isinstance(outcome, WorkerSuspended)
        match outcome:
            case Failed(why=why):
                self.ends = TaskEnds(status=HandoffStatus.FAILED, why=why)
            case WorkerDone(retry=True) if self.attempt < self.order.context.attempts:
                self.attempt, self.spent = self.attempt + 1, outcome.spent
            case WorkerDone():
                self.done = outcome
            case WorkerSuspended():
                self.suspended, self.spent = outcome, outcome.spent
                self._take_suspension(outcome, now)
            case _:
                assert_never(outcome)

    def _take_suspension(self, outcome: WorkerSuspended, now: float) -> None:
        news = self._learn(outcome.control)
        if outcome.why == "grant":
            self._ask_for(outcome.need, now)
        elif self._give_back(now):
            return
        elif outcome.why == "parked":
            end = self.deadline
            self.not_before = max(now + 1.0, outcome.until if end is None else min(outcome.until, end))
            self.parked = True
        elif (
            news
            or self.control.hold_on(self.order.me) is not None
            or (outcome.why == "renewed" and outcome.spent is not None)
        ):
            self.blind_s = HELD_AGAIN_S
        else:
            # It was held, and is not as far as is known here: asked at once it would only say so again.
            self.not_before, self.blind_s = now + self.blind_s, held_again_after(self.blind_s)

    def _give_back(self, now: float) -> bool:
        """Give back what a lowered limit asks for, if there is something; then more must be asked for."""
        if not self.grant.give_back(self.spent, self.control.recall):
            return False
        self._ask_for(self.suspended.need if self.suspended else Amount(), now)
        return True

    def _ask_for(self, need: Amount, now: float) -> None:
        context = self.order.context
        self.need = need or Amount(tokens=1, micro_usd=int(context.bounds_dollars))
        self.ask_at, self.ask_again_s = now, context.audit_s

    @property
    def owes(self) -> bool:
        """True if it has yet to give back what a lowered limit asks for, and knows how much that is."""
        return self.spent is not None and self.grant.owes(self.control.recall)
