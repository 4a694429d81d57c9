"""The workflow `Planner`: long-lived, never codes, sleeps until something comes in.

Its rules are pure and stand in `headway.domain.state.planner` and `headway.domain.state.children`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow

from activities.planning import Planning
from activities.repository import Checks
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.details import planner_details
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, child_id, is_adopted, key_below
from headway.domain.messages import Ask, CallBack, Grant, StoredHandoff, StoreHandoff
from headway.domain.planner_turn import Decision, Final, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control
from headway.domain.state.planner import PlannerEnd, PlannerState
from headway.domain.tree import TreeNode
from workflows import effects, execution, options, signals
from workflows.children import tell_state
from workflows.effects import Failed
from workflows.errands import Errands


@workflow.defn
class Planner:
    """Owns a scope: asks for turns, carries out their decisions, takes handoffs, hands up with nothing outstanding."""

    @workflow.init
    def __init__(self, state: PlannerState) -> None:
        self.state = state
        self.caller = options.Caller(planner=state.me, heartbeat_s=state.context.heartbeat_s)
        self.errands = Errands(state, self.caller)
        self.blind_s = options.HELD_AGAIN.total_seconds()

    @workflow.run
    async def run(self, state: PlannerState) -> StoredHandoff:
        """Plan until the last word is `finish` and nothing is outstanding; store the handoff, then tell it."""
        cancelled = False
        try:
            ending = await self._plan()
        except asyncio.CancelledError as error:
            signals.taken_as_cancelled(error)
            cancelled = True
            ending = await signals.to_the_end(self._cancel_all("cancelled"))
        stored = await signals.to_the_end(self._hand_up(ending))
        if cancelled:
            raise asyncio.CancelledError
        return stored

    # Signals. Handlers only book them; the loop acts.

    @workflow.signal
    def handoff(self, notice: HandoffNotice) -> None:
        """A child's handoff is stored."""
        self.state.signals += 1
        self._hear(notice.child)
        before = self.state.wake_at(execution.now())
        if self.state.take_handoff(notice, execution.now()):
            waits = self.state.books.anything_waits or self.state.need
            self.errands.stirred = self.errands.stirred or bool(waits) or self.state.wake_at(execution.now()) != before

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """A child's slice is used up."""
        self.state.signals += 1
        self._hear(ask.child)
        self.state.books.take_ask(ask)
        self.errands.stirred = True

    @workflow.signal
    def grant(self, grant: Grant) -> None:
        """The parent granted more, or says that there is no more."""
        self.state.signals += 1
        self.state.take_grant(grant)
        self.errands.asked_with = None
        self.errands.stirred = True

    @workflow.signal
    def call_back(self, call: CallBack) -> None:
        """The parent is short, and wants the budget that is not needed here."""
        self.state.signals += 1
        self.state.called = call.lack
        self.errands.stirred = True

    @workflow.signal
    def digest(self, node: TreeNode) -> None:
        """The digest of a sub-planner, for the tree."""
        self.state.signals += 1
        self._hear(node.key)
        self.errands.below[node.key] = node

    @workflow.signal
    def control(self, control: Control) -> None:
        """The user's control record."""
        self.state.signals += 1
        self.state.take_control(control)
        self.errands.stirred = True

    @workflow.query
    def status(self) -> dict[str, object]:
        """State of the planner."""
        return {
            "title": self.state.title,
            "doing": self.errands.doing,
            "turn": self.state.turn,
            "tally": self.state.books.tally,
            "notes": list(self.errands.troubles.values()),
        }

    @workflow.query
    def held(self) -> Amount:
        """All that the planner was granted. A workflow that adopts it lends it the same."""
        return self.state.books.purse.granted

    @workflow.query
    def tree(self) -> TreeNode:
        """The planner and the agents below it, as far as digests told."""
        return self.errands.node

    # The loop

    async def _plan(self) -> PlannerEnd:
        self.state.last_heard = self.state.last_heard or execution.now()
        while True:
            await self.errands.run()
            signals.heed_cancel()
            if self.errands.all_gone:
                # No workflow takes the handoff or asks for anything: the children must not work on for a closed run.
                return await self._cancel_all("the run is closed")
            closed = self.state.closing is not None
            self.state.tick(execution.now())
            if self.state.closing is not None and not closed:
                continue  # children that never started are dropped now, and children that wait for more are told
            ending = self.state.ending()
            if ending is not None:
                return ending
            self._continue_if_due()
            due = None if self.state.held else self.state.wake_at(execution.now())
            if due is not None and due <= execution.now():
                await self._turn()
            else:
                await self._sleep(due)

    def _continue_if_due(self) -> None:
        suggested = workflow.info().is_continue_as_new_suggested()
        if self.state.continue_due(suggested=suggested) and workflow.all_handlers_finished():
            workflow.continue_as_new(self.state.carried())

    async def _turn(self) -> None:
        order = self.state.next_turn(workflow.info().run_id, await self._final())
        self._show("thinks")
        outcome = await self._think(order)
        signals.heed_cancel()
        if isinstance(outcome, Failed):
            self.state.close(HandoffStatus.FAILED, outcome.why)
            return
        if outcome is None:
            return
        for key in self.state.take_turn(order, outcome, execution.now()):
            await signals.cancel(child_id(self.state.me, key))
        if outcome.decision is Decision.RENEWED and outcome.control is not None:
            self.state.take_control(outcome.control)
        if outcome.decision is not Decision.SUSPENDED or outcome.until:
            self.blind_s = options.HELD_AGAIN.total_seconds()
            return
        if outcome.control is not None and outcome.control.version > self.state.control.version:
            self.state.take_control(outcome.control)  # the signal may never come; those below hear of it as well
            return
        # It was held, and is not any more as far as is known: asked again at once it would only say so again.
        await self._until(lambda: self.state.held or self.errands.stirred, self.blind_s)
        self.blind_s = options.held_again_after(self.blind_s)

    async def _final(self) -> Final | None:
        """The objections to `finish(done)`. Kept until the turn is taken, because a parked turn is asked for often."""
        if not self.state.wants_final():
            self.state.guard = None
        elif self.state.guard is None:
            self.state.guard = Final(verdict=await self._check())
            signals.heed_cancel()
        return self.state.guard

    async def _think(self, order: PlanTurn) -> TurnOutcome | Failed | None:
        """The turn itself; None when the run's hours end before it does, as they may while a model does not answer.

        The needs of children do not wait for it: a turn can take minutes.
        """
        self.errands.thinking = True
        turn = asyncio.ensure_future(
            effects.attempt(
                Planning.plan_turn, order, options.thinking(self.caller, f"turn {order.turn}: {self.state.title}")
            )
        )
        try:
            while not turn.done():
                await self._until(lambda: turn.done() or self.errands.stirred, self._seconds_left())
                await self.errands.run()
                signals.heed_cancel()
                if not turn.done() and self._seconds_left() == 0:
                    self.state.tick(execution.now())
                    return None
            return await turn
        finally:
            self.errands.thinking = False
            turn.cancel()

    async def _sleep(self, due: float | None) -> None:
        parked = self.state.parked_until > execution.now()
        self._show("is paused" if self.state.held else "is parked" if parked else "waits")
        audit_at = self.state.last_heard + self.state.context.audit_s
        limit = max(1.0, audit_at - execution.now())
        if due is not None:
            limit = min(limit, due - execution.now())
        if self.errands.drop_at:
            limit = min(limit, self.errands.drop_at - execution.now())
        left = self._seconds_left()
        if left is not None and self.state.closing is None:
            limit = min(limit, left)
        await self._until(lambda: self.errands.stirred, max(limit, 0.1))
        if execution.now() >= audit_at:
            await self.errands.audit()

    async def _until(self, due: Callable[[], bool], seconds: float | None) -> None:
        """Wait for a condition, or for so long."""
        limit = None if seconds is None else timedelta(seconds=max(seconds, 0.1))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(due, timeout=limit)

    def _seconds_left(self) -> float | None:
        """Until the run's hours end; None when they never do."""
        deadline = self.state.deadline
        return None if deadline is None else max(0.0, deadline - execution.now())

    # The end

    async def _cancel_all(self, why: str) -> PlannerEnd:
        self.state.close(HandoffStatus.CANCELLED, why)
        self.state.closing = PlannerEnd(status=HandoffStatus.CANCELLED, why=why)
        # Longer the higher up, so that no planner gives up on a child that still waits for its own.
        levels = max(1, self.state.context.depth - self.state.depth + 1)
        until = execution.now() + levels * options.CANCEL_WAITS.total_seconds()
        again = options.CANCEL_AGAIN.total_seconds()
        await self.errands.cancel_children()
        while self.state.books.children and execution.now() < until:
            await self._until(lambda: not self.state.books.children, again)
            # Asked again: a child whose start was under way was not there yet to be told.
            again = min(2 * again, options.CANCEL_WAITS.total_seconds() / 2)
            if self.state.books.children:
                await self.errands.cancel_children()
                await self.errands.audit()
        if self.state.books.children:
            await self.errands.audit()
        return self.state.closing

    async def _hand_up(self, ending: PlannerEnd) -> StoredHandoff:
        self._show("hands up")
        stored = await self.errands.store(
            StoreHandoff(
                context=self.state.context,
                me=self.state.me,
                title=self.state.title,
                role="planner",
                status=ending.status,
                why=ending.why[: effects.WHY_CHARS],
                report=ending.report,
                children=dict(self.state.books.tally),
            )
        )
        own = self.state.books.purse.own
        self.state.books.purse.own = own.most(stored.spent)  # a turn that never came back is paid
        self._show(stored.status)
        await self.errands.tell_digest(due=True)
        me, spent = self.state.me, self.state.books.purse.spent
        await signals.tell_above(
            me,
            signals.HANDOFF,
            lambda above: HandoffNotice(
                child=key_below(above, me), status=stored.status, seq=stored.ref.seq, spent=spent
            ),
        )
        return stored

    async def _check(self) -> CheckVerdict | None:
        context = self.state.context
        if not context.has_check:
            return None
        self._show("checks the trunk")
        order = RunCheck(run=context.run, incarnation=context.incarnation, spec=context.spec, asked_by=self.state.me)
        verdict = await effects.attempt(Checks.run_check, order, options.proving(self.caller, "check of the trunk"))
        if isinstance(verdict, Failed):
            return CheckVerdict.could_not_run(self.state.pinned or context.base, verdict.why, execution.now())
        return verdict

    def _hear(self, key: ChildKey) -> None:
        """An agent below speaks. One whose planner is closed is adopted at the audit that finds that one closed."""
        if is_adopted(key) and key not in self.state.books.children:
            self.errands.audit_soon()
            self.errands.stirred = True

    # The planner's view for readers.

    def _show(self, doing: str) -> None:
        self.errands.doing = doing
        stands = doing if doing in tuple(HandoffStatus) else self.state.stands(execution.now())
        self.state.listed_as = tell_state(self.state.context, self.state.listed_as, stands)
        workflow.set_current_details(planner_details(self.state, doing, self.errands.troubles.values()))
