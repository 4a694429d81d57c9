"""The workflow `Task`: a thin child around one long activity, so that a worker outlives its planner's history."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from pydantic import BaseModel
from temporalio import workflow

from activities.handoffs import Handoffs
from activities.work import Work, WorkEnds
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, key_below
from headway.domain.limits import short_words
from headway.domain.messages import (
    EndStatus,
    EndWorker,
    Grant,
    StoreHandoff,
    TaskOrder,
    TaskResult,
    WorkerDone,
    WorkerSuspended,
    WorkOrder,
)
from headway.domain.model_outage import clock_words
from headway.domain.printable import for_markdown
from headway.domain.state.budget import Amount, Bill, Ceiling
from headway.domain.state.control import Control
from headway.domain.state.grant import TaskGrant
from workflows import effects, options, signals
from workflows.children import STARTED, tell_state
from workflows.effects import Failed

END_TRIES = 2
"""Tries of `end_worker`, which keeps the work that did not land, before the handoff is stored without it."""


@workflow.defn
class Task:
    """One task: its worker runs until there is a handoff, which is stored first and then told, once."""

    @workflow.init
    def __init__(self, order: TaskOrder) -> None:
        self.order = order
        self.slice = TaskGrant.first(order.grant, order.control.recall, order.context.sizes.task_call)
        self.attempt = 1
        self.resumed = False
        self.listed_as = STARTED
        self.control_record = order.control
        self.parked_until = 0.0
        self.blind_s = options.HELD_AGAIN.total_seconds()
        self.caller = options.caller_of(order.me, order.context.heartbeat_s)

    @workflow.run
    async def run(self, order: TaskOrder) -> TaskResult:
        """Work, then report to the planner's workflow id."""
        cancelled: BaseException | None = None
        try:
            done = await self._work()
        except asyncio.CancelledError as error:
            signals.taken_as_cancelled(error)
            cancelled = error
            done = await signals.to_the_end(self._end(HandoffStatus.CANCELLED, "cancelled"))
        await signals.to_the_end(self._deliver(done))
        if cancelled is not None:
            raise asyncio.CancelledError
        return TaskResult(status=done.status, summary=done.summary, attempts=self.attempt, spent=Bill.of(done.spent))

    @workflow.signal
    def grant(self, grant: Grant) -> None:
        """More may be used."""
        self.slice.take(grant)

    @workflow.signal
    def control(self, control: Control) -> None:
        """The user's control record."""
        self._learn(control)

    @workflow.query
    def held(self) -> Amount:
        """All that the task was granted. A workflow that adopts it lends it the same."""
        return self.slice.total

    @workflow.query
    def status(self) -> dict[str, object]:
        """The task's title, attempt and grant."""
        return {
            "title": self.order.title,
            "attempt": self.attempt,
            "granted": Ceiling.of(self.slice.total).model_dump(),
            "parked_until": self.parked_until,
        }

    async def _work(self) -> WorkerDone:
        while True:
            signals.heed_cancel()
            if not await self._may_work():
                why = "the run's hours ended while the task was paused"
                return await signals.to_the_end(self._end(HandoffStatus.PARTIAL, why))
            self._stand("running")
            outcome = await effects.attempt(
                Work.run_worker,
                self._work_order(),
                options.working(self.caller, self.order.title, self.order.priority, resumed=self.resumed),
            )
            signals.heed_cancel()
            self.resumed = isinstance(outcome, WorkerSuspended)
            news = isinstance(outcome, WorkerSuspended) and self._learn(outcome.control)
            match outcome:
                case Failed():
                    return await signals.to_the_end(self._end(HandoffStatus.FAILED, outcome.why))
                case WorkerDone(retry=True) if self.attempt < self.order.context.attempts:
                    self.attempt += 1
                case WorkerDone():
                    return outcome
                case WorkerSuspended(why="grant"):
                    await self._ask(outcome)
                case WorkerSuspended() if self.slice.give_back(outcome.spent, self.control_record.recall):
                    await self._ask(outcome)
                case WorkerSuspended(why="parked"):
                    await self._parked(outcome.until)
                case WorkerSuspended() if news or self.control_record.hold_on(self.order.me) is not None:
                    self.blind_s = options.HELD_AGAIN.total_seconds()
                case WorkerSuspended():
                    # It was held, and is not as far as is known here: asked at once it would only say so again.
                    await self._until_other_control(self.blind_s)
                    self.blind_s = options.held_again_after(self.blind_s)
                    if self.slice.give_back(outcome.spent, self.control_record.recall):
                        await self._ask(outcome)

    def _learn(self, control: Control | None) -> bool:
        """Take over a control record, from a signal or an activity's result. True when it is newer."""
        if control is None or control.version <= self.control_record.version:
            return False
        self.control_record = control
        return True

    async def _may_work(self) -> bool:
        """Wait while the task is held. False when the run's hours end before it is let go."""
        while (hold := self.control_record.hold_on(self.order.me)) is not None:
            self._stand("paused", hold.why)
            deadline = self._deadline
            left = None if deadline is None else deadline - workflow.now().timestamp()
            if left is not None and left <= 0:
                return False
            await self._until_other_control(left)
        return True

    async def _until_other_control(self, seconds: float | None) -> None:
        known = self.control_record.version
        limit = None if seconds is None else timedelta(seconds=max(seconds, 0.1))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self.control_record.version != known, timeout=limit)

    @property
    def _deadline(self) -> float | None:
        return self.control_record.deadline_of(self.order.context.deadline)

    async def _parked(self, until: float) -> None:
        """Hold no slot until the model is worth another try, or the control record changes: a user who pauses and
        resumes wants it tried now.
        """
        now, deadline = workflow.now().timestamp(), self._deadline
        until = until if deadline is None else min(until, deadline)
        self.parked_until = until
        self._stand("parked", f"the model refuses calls; next try at {clock_words(until)}")
        await self._until_other_control(max(1.0, until - now))
        self.parked_until = 0.0

    def _work_order(self) -> WorkOrder:
        order, control = self.order, self.control_record
        return WorkOrder(
            context=control.in_force(order.context),
            me=order.me,
            task=order.task,
            title=order.title,
            attempt=self.attempt,
            granted=self.slice.total,
            more=not self.slice.final,
            renewed=control.renewed,
            amendments=tuple(amended.seq for amended in control.amendments),
        )

    async def _ask(self, outcome: WorkerSuspended) -> None:
        need = outcome.need or Amount(tokens=1, micro_usd=int(self.order.context.bounds_dollars))
        again, held = self.order.context.audit_s, self.slice.model_copy()
        self._stand("waits for budget", f"needs {short_words(need)}")
        while self.slice == held:
            # The used-up amount does not change while it waits: at a recall it gives back the rest, and asks anew.
            self.slice.give_back(outcome.spent, self.control_record.recall)
            held = self.slice.model_copy()
            # Asked again now and then: an ask may have found its parent in the middle of a reset. Ever more seldom:
            # hundreds of tasks may wait for days until their user raises a limit.
            if not await self._tell_above(signals.ASK, partial(held.ask, need=need)):
                self.slice.final = True
            signals.heed_cancel()
            await self._until_told(held, outcome, again)
            again = options.asked_again_after(again)

    async def _until_told(self, held: TaskGrant, outcome: WorkerSuspended, seconds: int) -> None:
        recalled = outcome.spent is not None
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.slice != held or (recalled and self.slice.owes(self.control_record.recall)),
                timeout=timedelta(seconds=seconds),
            )

    async def _end(self, status: EndStatus, why: str) -> WorkerDone:
        """End the worker by the harness's word. Its handoff is stored whatever keeps its work from being kept."""
        order = EndWorker(order=self._work_order(), status=status, why=why[: effects.WHY_CHARS])
        again_s, kept_from = self.order.context.again_s, ""
        for tried in range(END_TRIES):
            if tried:
                await workflow.sleep(timedelta(seconds=again_s))
            done = await effects.attempt(WorkEnds.end_worker, order, options.housekeeping(self.caller, f"ends: {why}"))
            if not isinstance(done, Failed):
                return done
            kept_from = done.why
            self._stand("ending", f"keeping its work failed, which is tried again: {kept_from}")
        return await self._store(status, f"{why}; what it had not landed could not be kept: {kept_from}")

    async def _store(self, status: EndStatus, why: str) -> WorkerDone:
        order = StoreHandoff(
            context=self.order.context,
            me=self.order.me,
            title=self.order.title,
            role="worker",
            status=status,
            why=why[: effects.WHY_CHARS],
            attempt=self.attempt,
        )
        stored = await effects.until_done(
            Handoffs.store_handoff,
            order,
            options.housekeeping(self.caller, f"handoff: {status}"),
            again_s=self.order.context.again_s,
            tell=lambda why: self._stand("ending", f"storing the handoff failed, which is tried again: {why}"),
        )
        return WorkerDone(ref=stored.ref, status=stored.status, summary=stored.summary, spent=stored.spent)

    def _stand(self, state: str, why: str = "") -> None:
        """Show how the task stands. States only: each change is an event of the history."""
        attempt = f"attempt {self.attempt} of {self.order.context.attempts}"
        workflow.set_current_details(f"**{state}**{f': {for_markdown(why)}' if why else ''} · {attempt}")
        self.listed_as = tell_state(self.order.context, self.listed_as, state)

    async def _deliver(self, done: WorkerDone) -> None:
        self._stand(done.status, done.summary[: effects.WHY_CHARS])
        notice = partial(HandoffNotice, status=done.status, seq=done.ref.seq, spent=done.spent)
        # A closed run takes no handoff; the stored one is found by a reader of the run's logs.
        await self._tell_above(signals.HANDOFF, lambda key: notice(child=key))

    async def _tell_above(self, signal: str, message: Callable[[ChildKey], BaseModel]) -> bool:
        me = self.order.me
        return await signals.tell_above(me, signal, lambda above: message(key_below(above, me)))
