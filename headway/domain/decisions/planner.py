"""The rules of a planner: what is due towards its children and its parent, its turns, its waits and its end."""

from headway.domain.check import RunCheck
from headway.domain.commands import (
    Abandon,
    Call,
    CancelChild,
    Command,
    ContinueAsNew,
    End,
    Launch,
    ListAs,
    Record,
    Signal,
    SignalAbove,
    Sleep,
)
from headway.domain.decisions import below, planner_budget
from headway.domain.decisions.lending import Lending
from headway.domain.decisions.planner_turn import next_turn
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import child_id, key_of
from headway.domain.messages import CallBack, StoreHandoff
from headway.domain.planner_tree import planner_node
from headway.domain.planner_turn import Final
from headway.domain.state.consequences import AsksToCancel, Audits, CancelsAll, Closes, GivesUpChildren, NeedIsMet
from headway.domain.state.planner import PlannerState
from headway.domain.state.planner_facts import PlannerEnd
from headway.domain.state.waits import DIGEST_EVERY_S, WHY_CHARS
from headway.domain.tree import TreeNode, within

SIGNALS_PER_RUN = 5_000
"""The server refuses the 10,001st signal of a workflow run, and does not count them in its suggestion to continue."""


def decide(state: PlannerState, now: float) -> list[Command]:
    """The commands that are due. Those towards other workflows come before the planner's own next step."""
    doing = state.doing(now)
    stands = doing if doing in tuple(HandoffStatus) else state.stands(now)
    shown: list[Command] = [] if stands == state.listed_as else [ListAs(stands)]
    if state.present.handing_up is not None:
        return shown + _hand_up(state, state.present.handing_up, now)
    return shown + (
        _cancel(state, now) or _below(state, now) or _around(state, now) or by_time(state, now) or _go_on(state, now)
    )


def _cancel(state: PlannerState, now: float) -> list[Command]:
    """The steps of a cancellation; also of that which a closed run means: no workflow takes the handoff then."""
    present = state.present
    if present.all_gone and not present.cancelling:
        return [Record(CancelsAll(why="the run is closed"))]
    if not present.cancelling or present.cancel_over:
        return []
    if present.busy:
        return [Abandon()]
    if not state.children.open or now < min(present.cancel_at, present.cancel_until):
        return []
    if now >= present.cancel_until:
        return [*audit(state, now), Record(GivesUpChildren())]
    # Asked again now and then: a child whose start was under way was not there yet to be told.
    again = audit(state, now) if present.cancel_tries else []
    started = [CancelChild(child_id(state.me, key)) for key in state.children.started]
    return [Record(AsksToCancel()), *started, *again]


def _below(state: PlannerState, now: float) -> list[Command]:
    """Commands that are due towards the children.

    First the running children that ask for more, so that begun work can end; then the children that can start; then
    those that never will: the amount that was just given back may serve another child.
    """
    back = planner_budget.recalled(state)
    if back:
        return [*planner_budget.ask_parent(state, now, back)]
    lending = Lending(state.children)
    answers = lending.answers() if state.lends else {}
    opens = state.closing is None and not state.held and state.lends
    starts = lending.starts() if opens else {}
    return [
        *(CancelChild(child_id(state.me, key)) for key in state.present.to_cancel),
        *below.informs(state),
        *(Signal(child_id(state.me, key), grant) for key, grant in answers.items()),
        *(below.start(state, key, granted) for key, granted in starts.items()),
        *below.drops(state, now),
        *(audit(state, now) if state.present.audit_due else []),
    ]


def _around(state: PlannerState, now: float) -> list[Command]:
    """Commands that are due towards the parent, and towards sub-planners that have budget to spare."""
    keys, lack = planner_budget.to_call_back(state)
    back = planner_budget.spare(state)
    return [
        *(Signal(child_id(state.me, key), CallBack(lack=lack)) for key in keys),
        *planner_budget.ask_parent(state, now, back),
        *_digest(state, now),
    ]


def _digest(state: PlannerState, now: float) -> list[SignalAbove]:
    """The digest, at most every 30 s."""
    before = state.present.digest
    if now - state.present.digest_at < DIGEST_EVERY_S:
        return []
    digest = node(state, now)
    return [SignalAbove(digest)] if (digest.children or before is None) and digest != before else []


def node(state: PlannerState, now: float) -> TreeNode:
    """The planner and the agents below it, as far as digests told."""
    return within(planner_node(state, state.doing(now), state.present.below))


def audit(state: PlannerState, now: float) -> list[Command]:
    """Look for children that closed without a word; that the digest cannot be told is how a closed run is noticed."""
    calls = below.audits(state.context, state.me, state.children)
    return [Record(Audits()), SignalAbove(node(state, now)), *calls]


def by_time(state: PlannerState, now: float) -> list[Command]:
    """The consequences of time and of the account alone."""
    if state.closing is None and state.deadline is not None and now >= state.deadline:
        # A last word that was said in time stands, also where nothing was held against it yet.
        finish = state.last_finish if state.said_finish else None
        late = PlannerEnd(status=HandoffStatus.PARTIAL, why="the run's hours are used up")
        ending = late if finish is None else PlannerEnd(status=finish.status, why=finish.summary, report=finish.seq)
        return [*([Abandon()] if state.present.busy else []), Record(Closes(ending=ending))]
    if state.need and state.children.account.free.covers(state.need):
        return [Record(NeedIsMet())]
    if state.closing is None and state.need and state.children.no_more and not state.children.open:
        return [Record(Closes(ending=PlannerEnd(status=HandoffStatus.PARTIAL, why="the budget is used up")))]
    return []


def _go_on(state: PlannerState, now: float) -> list[Command]:
    """The planner's own next step."""
    hours_end = state.deadline if state.closing is None else None
    if state.present.busy:
        return [Sleep(hours_end)]
    ending = state.end_due()
    if ending is not None:
        return _hand_up(state, ending, now)
    quiet = state.present.settled and not state.present.cancelling
    if quiet and continue_due(state, suggested=state.present.long):
        return [ContinueAsNew(state.carried())]
    due = None if state.held or state.present.cancelling else state.wake_at(now)
    if due is not None and due <= now:
        return [_turn(state)]
    audit_at = state.last_heard + state.context.audit_s
    if now >= audit_at:
        return audit(state, now)
    alarms = [audit_at, due, state.present.drop_at or None, hours_end]
    if state.present.cancelling:
        alarms += [state.present.cancel_at, state.present.cancel_until]
    return [Sleep(min(at for at in alarms if at is not None and at > now))]


def _turn(state: PlannerState) -> Command:
    """The next turn. Before a `finish(done)` counts, one shows the objections to it: first the check is run."""
    final = None
    if state.wants_final():
        # Kept until the turn is taken, because a parked turn is asked for often.
        final = state.guard
        context = state.context
        if final is None and context.has_check:
            check = RunCheck(run=context.run, incarnation=context.incarnation, spec=context.spec, asked_by=state.me)
            return Launch(check, "check of the trunk")
        final = final or Final()
    order = next_turn(state, final)
    return Launch(order, f"turn {order.turn}: {state.title}")


def continue_due(state: PlannerState, *, suggested: bool) -> bool:
    """True if the history is long enough to be closed at the next quiet moment."""
    return suggested or state.handled >= state.context.continue_after or state.signals >= SIGNALS_PER_RUN


def _hand_up(state: PlannerState, ending: PlannerEnd, now: float) -> list[Command]:
    """Store the handoff, then tell it."""
    present, stored = state.present, state.present.stored
    if stored is None:
        if now < present.retry.at:
            return [Sleep(present.retry.at)]
        order = StoreHandoff(
            context=state.context,
            me=state.me,
            title=state.title,
            role="planner",
            status=ending.status,
            why=ending.why[:WHY_CHARS],
            report=ending.report,
            children=dict(state.children.tally),
        )
        return [Call(order, f"handoff: {order.status}")]
    if not present.told:
        spent = state.children.account.spent
        notice = HandoffNotice(child=key_of(state.me), status=stored.status, seq=stored.ref.seq, spent=spent)
        return [SignalAbove(node(state, now)), SignalAbove(notice)]
    return [End(stored)]
