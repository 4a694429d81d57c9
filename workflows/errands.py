"""A planner's errands between turns: the steps that its books call for towards its children and its parent."""

import asyncio
from collections.abc import Callable

from temporalio import workflow

from activities.handoffs import Handoffs
from headway.domain.details import planner_details
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, child_id, key_below
from headway.domain.messages import Ask, CallBack, DescribeChildren, FoundClosed, Grant, StoredHandoff, StoreHandoff
from headway.domain.planner_turn import ChildKind
from headway.domain.state.planner import PlannerState
from headway.domain.tree import TreeNode, planner_node, within
from workflows import effects, execution, options, signals
from workflows.children import start_child
from workflows.effects import Failed

AUDITED_AT_ONCE = 200
"""Children of one audit activity, so that its argument stays small."""


class Errands:
    """Starts children, answers them, drops and audits them; asks the parent and sends it the digest.

    Attributes:
        stirred: Something came in that may make an errand due.
        doing: The planner's present step, for readers of the tree.
        below: Digests of sub-planners.
        all_gone: Everything above was found closed, the run included: nothing takes the handoff.
        asked_with: The last ask to the parent, since it answered.
        thinking: A turn is running, with all of the free budget.
        troubles: Failed effects that are tried again, in words, by their subject.
        drop_at: Before this no child is dropped: the store refused the last handoff of one.
    """

    def __init__(self, state: PlannerState, caller: options.Caller) -> None:
        self.state = state
        self.caller = caller
        self.stirred = False
        self.doing = "starts"
        self.below: dict[ChildKey, TreeNode] = {}
        self.all_gone = False
        self.asked_with: Ask | None = None
        self.thinking = False
        self.troubles: dict[str, str] = {}
        self.drop_at = 0.0
        self.told_digest_at = 0.0
        self.told_digest: TreeNode | None = None

    @property
    def node(self) -> TreeNode:
        """The planner and the agents below it, as far as digests told."""
        return planner_node(self.state, self.doing, self.below)

    async def run(self) -> None:
        """Everything that is due, until nothing is."""
        while True:
            self.stirred = False
            gave_back = not self.thinking and self.state.give_back()
            open_for_more = self.state.closing is None and not self.state.held and self.state.lends
            # First the running children that ask for more, so that begun work can end; then the children that can
            # start; then those that never will: the amount that was just given back may serve another child.
            answers = self.state.books.answers() if self.state.lends else ()
            starts = self.state.books.to_start() if open_for_more else ()
            gave_back = self.state.give_spare() or gave_back
            for key in self._to_drop():
                await self._drop(key)
            adopted = await asyncio.gather(*(start_child(self.state, key) for key in starts))
            for answer in answers:
                grant = Grant(total=answer.total, final=answer.final, grant_version=answer.grant_version)
                await signals.tell(child_id(self.state.me, answer.child), signals.GRANT, grant)
            await self._tell_control()
            await self._call_back()
            await self._ask_parent(gave_back=gave_back)
            await self.tell_digest()
            if any(adopted):
                await self._inform(tuple(key for key, there in zip(starts, adopted, strict=True) if there))
                await self.audit()
            if not self.stirred:
                return

    async def _tell_control(self) -> None:
        control = self.state.control
        if control.version == self.state.control_told:
            return
        self.state.control_told = control.version
        # One that a lost past asked for may be at work before this one starts it.
        children = self.state.books.children.items()
        await self._inform(tuple(key for key, child in children if child.lent is not None or child.recovered))

    async def _inform(self, keys: tuple[ChildKey, ...]) -> None:
        """Send children the user's orders; one that was started before, or by another planner, may not know them."""
        control, ids = self.state.control, [child_id(self.state.me, key) for key in keys]
        if control.version:
            await asyncio.gather(*(signals.tell(agent, signals.CONTROL, control) for agent in ids))

    async def _call_back(self) -> None:
        """Have sub-planners give back their unneeded budget, where others wait for budget."""
        keys, lack = self.state.to_call_back()
        for key in keys:
            await signals.tell(child_id(self.state.me, key), signals.CALL_BACK, CallBack(lack=lack))

    async def _ask_parent(self, *, gave_back: bool) -> None:
        state, before = self.state, self.asked_with
        due = None if state.held else state.wake_at(execution.now())
        ask = state.ask(busy=self.thinking or (due is not None and due <= execution.now()))
        # That nothing is missing any more matters to the run alone, which holds for it.
        nothing = not ask.need and (before is None or state.depth > 1)
        if not gave_back and (nothing or (before is not None and before.says_as_much_as(ask))):
            return
        self.asked_with = ask
        await self._tell_above(signals.ASK, lambda key: ask.model_copy(update={"child": key}))

    def _to_drop(self) -> tuple[ChildKey, ...]:
        if execution.now() < self.drop_at:
            return ()
        self.drop_at = 0.0
        return self.state.books.to_drop(closing=self.state.closing is not None)

    async def _drop(self, key: ChildKey) -> None:
        if self.drop_at:
            return  # the store refused the one before: all of them wait
        child = self.state.books.children[key]
        if child.recovered:
            await signals.cancel(child_id(self.state.me, key))  # an earlier past may have started it
        why = "cancelled before it started" if child.cancelled else "never started: the budget or the hours ran out"
        order = StoreHandoff(
            context=self.state.context,
            me=child_id(self.state.me, key),
            title=child.title,
            role="planner" if child.kind is ChildKind.PLANNER else "worker",
            status=HandoffStatus.CANCELLED,
            why=why,
        )
        stored = await effects.attempt(Handoffs.store_handoff, order, self._housekeeping(f"handoff: {order.status}"))
        if isinstance(stored, Failed):
            self.drop_at = execution.now() + self.state.context.again_s
            self.trouble("storing a handoff", stored.why)
            return
        self.trouble("storing a handoff")
        notice = HandoffNotice(child=key, status=stored.status, seq=stored.ref.seq, spent=stored.spent)
        self.state.take_handoff(notice, execution.now())

    async def audit(self) -> None:
        """Look for children, and a parent, that closed without a word."""
        self.state.last_heard = execution.now()
        self.state.books.call_again()
        self.asked_with = None  # an ask that found its parent in the middle of a reset is asked again
        await self.tell_digest(due=True)  # that it cannot be told is how a closed run is noticed
        started = [(key, child) for key, child in self.state.books.children.items() if child.lent is not None]
        for at in range(0, len(started), AUDITED_AT_ONCE):
            part = started[at : at + AUDITED_AT_ONCE]
            planners = tuple(key for key, child in part if child.kind is ChildKind.PLANNER)
            order = DescribeChildren(
                context=self.state.context,
                me=self.state.me,
                tasks=tuple(key for key, child in part if child.kind is ChildKind.TASK),
                planners=planners,
                known=self.state.books.known_below(planners),
            )
            found = await effects.attempt(Handoffs.describe_children, order, self._housekeeping("audit"))
            if isinstance(found, Failed):
                self.trouble("the audit", found.why)
                return
            self.trouble("the audit")
            for closed in found:
                await self._take_closed(closed, order.known)

    async def _take_closed(self, closed: FoundClosed, known: tuple[ChildKey, ...]) -> None:
        adopted = self.state.take_closed(closed, known, execution.now())
        if adopted is None or closed.more:
            self.audit_soon()
        await self._inform(adopted or ())

    def audit_soon(self) -> None:
        """Have the next audit come at once: an agent spoke whose planner may be closed, or the last one saw a part."""
        self.state.last_heard = min(self.state.last_heard, execution.now() - self.state.context.audit_s)

    async def cancel_children(self) -> None:
        """Ask all started children to cancel; a child that never started is dropped with its handoff."""
        started = [key for key, child in self.state.books.children.items() if child.lent is not None]
        told = await asyncio.gather(*(signals.cancel(child_id(self.state.me, key)) for key in started))
        await self.run()
        if not all(told):
            await self.audit()

    async def store(self, order: StoreHandoff) -> StoredHandoff:
        """Store a handoff in its agent's log, before any workflow is told of it. Tried without limit."""
        return await effects.until_done(
            Handoffs.store_handoff,
            order,
            self._housekeeping(f"handoff: {order.status}"),
            again_s=self.state.context.again_s,
            tell=lambda why: self.trouble("storing the handoff", why),
        )

    def trouble(self, about: str, why: str = "") -> None:
        """Note an effect that failed for good and is tried again; without `why`, that it succeeded."""
        self.troubles.pop(about, None)
        if why:
            self.troubles[about] = f"{about} failed: {why}"
            workflow.logger.warning("%s failed for good, and is tried again: %s", about, why)
        workflow.set_current_details(planner_details(self.state, self.doing, self.troubles.values()))

    def _housekeeping(self, summary: str) -> options.ActivityOptions:
        return options.housekeeping(self.caller, summary)

    async def tell_digest(self, *, due: bool = False) -> None:
        """Send the parent the digest, at most every 30 s unless it is due."""
        if not due and execution.now() - self.told_digest_at < options.DIGEST_EVERY.total_seconds():
            return
        node = within(self.node)
        if due or ((node.children or self.told_digest is None) and node != self.told_digest):
            self.told_digest, self.told_digest_at = node, execution.now()
            await self._tell_above(signals.DIGEST, lambda key: node.model_copy(update={"key": key}))

    async def _tell_above(self, signal: str, message: Callable[[ChildKey], Ask | TreeNode]) -> None:
        me = self.state.me
        told = await signals.tell_above(me, signal, lambda above: message(key_below(above, me)))
        self.all_gone = self.all_gone or not told
