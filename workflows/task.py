"""The workflow `Task`: a thin child around one long activity, so that a worker outlives its planner's history."""

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.work import Work, WorkEnds
from headway.domain.budget import Amount, Bill, Ceiling
from headway.domain.control import Control
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import key_of, parent_of
from headway.domain.parking import clock_words
from headway.domain.slice import Slice
from headway.domain.work import (
    EndWorker,
    Grant,
    TaskOrder,
    TaskResult,
    WorkerDone,
    WorkerSuspended,
    WorkOrder,
)
from workflows import messages, options

WHY_CHARS = 2000


@workflow.defn
class Task:
    """One task: worked on until there is a handoff, which is stored first and told then, once."""

    @workflow.init
    def __init__(self, order: TaskOrder) -> None:
        self.order = order
        self.slice = Slice.first(order.grant, order.control.recall)
        self.attempt = 1
        self.control_record = order.control
        self.parked_until = 0.0
        self.caller = options.caller_of(order.me, order.context.heartbeat_s)

    @workflow.run
    async def run(self, order: TaskOrder) -> TaskResult:
        """Work, then report to the planner's workflow id."""
        cancelled: BaseException | None = None
        try:
            done = await self._work()
        except (asyncio.CancelledError, ActivityError) as error:
            if not messages.was_cancelled(error):
                done = await messages.to_the_end(self._end(HandoffStatus.FAILED, _reason(error)))
            else:
                cancelled = error
                done = await messages.to_the_end(self._end(HandoffStatus.CANCELLED, "cancelled"))
        await messages.to_the_end(self._deliver(done))
        if cancelled is not None:
            raise asyncio.CancelledError
        return TaskResult(status=done.status, summary=done.summary, attempts=self.attempt, spent=Bill.of(done.spent))

    @workflow.signal
    def grant(self, grant: Grant) -> None:
        """More may be used."""
        self.slice.take(grant)

    @workflow.signal
    def control(self, control: Control) -> None:
        """What the user holds back."""
        if control.version > self.control_record.version:
            self.control_record = control

    @workflow.query
    def status(self) -> dict[str, object]:
        """What the task is about and what it may use."""
        return {
            "title": self.order.title,
            "attempt": self.attempt,
            "granted": Ceiling.of(self.slice.total).model_dump(),
            "parked_until": self.parked_until,
        }

    async def _work(self) -> WorkerDone:
        while True:
            messages.heed_cancel()
            await workflow.wait_condition(lambda: self.control_record.hold_on(self.order.me) is None)
            outcome = await workflow.execute_activity_method(
                Work.run_worker,
                self._work_order(),
                **options.working(self.caller, self.order.title, self.order.priority),
            )
            match outcome:
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
                case WorkerSuspended() if self.control_record.hold_on(self.order.me) is None:
                    # The activity heard of a pause before the signal is here.
                    await workflow.sleep(options.HELD_AGAIN)
                    if self.slice.give_back(outcome.spent, self.control_record.recall):
                        await self._ask(outcome)
                case WorkerSuspended():
                    continue

    async def _parked(self, until: float) -> None:
        """Hold no slot until the model is worth another try; whoever pauses and resumes wants it tried now."""
        known, now = self.control_record.version, workflow.now().timestamp()
        deadline = self.control_record.deadline_of(self.order.context.deadline)
        until = until if deadline is None else min(until, deadline)
        self.parked_until = until
        workflow.set_current_details(f"parked: the model refuses calls; next try at {clock_words(until)}")
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.control_record.version != known, timeout=timedelta(seconds=max(1.0, until - now))
            )
        self.parked_until = 0.0
        workflow.set_current_details("")

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
        while self.slice == held:
            # What is used up does not change while it waits: at a recall it gives back the rest, and asks anew.
            self.slice.give_back(outcome.spent, self.control_record.recall)
            held = self.slice.model_copy()
            # Asked again now and then: an ask may have found its parent in the middle of a reset. Ever more seldom:
            # hundreds of tasks may wait for days until their user raises a limit.
            if not await messages.tell(parent_of(self.order.me), messages.ASK, held.ask(key_of(self.order.me), need)):
                self.slice.final = True
            messages.heed_cancel()
            await self._until_told(held, outcome, again)
            again = options.asked_again_after(again)

    async def _until_told(self, held: Slice, outcome: WorkerSuspended, seconds: int) -> None:
        recalled = outcome.spent is not None
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.slice != held or (recalled and self.slice.owes(self.control_record.recall)),
                timeout=timedelta(seconds=seconds),
            )

    async def _end(self, status: HandoffStatus, why: str) -> WorkerDone:
        return await workflow.execute_activity_method(
            WorkEnds.end_worker,
            EndWorker(order=self._work_order(), status=status, why=why[:WHY_CHARS]),
            **options.housekeeping(self.caller, f"ends: {why}"),
        )

    async def _deliver(self, done: WorkerDone) -> None:
        notice = HandoffNotice(child=key_of(self.order.me), status=done.status, seq=done.ref.seq, spent=done.spent)
        # A parent that is closed needs no handoff: it is stored, and whoever reads the run finds it there.
        await messages.tell(parent_of(self.order.me), messages.HANDOFF, notice)


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    return cause.message if isinstance(cause, ApplicationError) else str(cause or error)
