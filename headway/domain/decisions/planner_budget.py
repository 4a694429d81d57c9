"""The rules of a planner's budget towards its parent: asking for more, and giving back."""

from headway.domain.commands import SignalAbove
from headway.domain.decisions import lending
from headway.domain.ids import ChildKey, key_of
from headway.domain.messages import Ask
from headway.domain.state.budget import CALLS, Account, Amount
from headway.domain.state.planner import PlannerState

WORTH_GIVING = 4
"""A planner gives budget back only if this number times the amount covers the lack of its parent."""


def recalled(state: PlannerState) -> Amount:
    """The part of the grant that is neither used up nor lent, where a lowered limit asks for it. Not during a turn,
    which may use up all of it.
    """
    return state.children.account.free if state.returning and state.present.turn is None else Amount()


def spare(state: PlannerState) -> Amount:
    """The part that the parent, which is short, asks for and that nothing here waits for or needs soon.

    A part so small that it does not help the parent is kept: each time costs two messages.
    """
    amount, lack = state.children.account.lendable, state.called
    waits = state.children.anything_waits or state.need or state.returning or state.children.no_more
    return Amount() if lack is None or waits or not amount.times(WORTH_GIVING).covers(lack) else amount


def ask_parent(state: PlannerState, now: float, gives: Amount = Amount()) -> list[SignalAbove]:  # noqa: B008 - frozen
    """The ask that is due to the parent: for the missing amount, or with the part of the grant that is given back."""
    before = state.present.asked_with
    due = None if state.held else state.wake_at(now)
    asked = ask(state, busy=state.present.turn is not None or (due is not None and due <= now), gives=gives)
    # That nothing is missing any more matters to the run alone, which holds for it.
    nothing = not asked.need and (before is None or state.depth > 1)
    if not gives and (nothing or (before is not None and before.says_as_much_as(asked))):
        return []
    return [SignalAbove(asked)]


def ask(state: PlannerState, *, busy: bool, gives: Amount = Amount()) -> Ask:  # noqa: B008 - frozen
    """The ask to the parent, with the missing amount or none. `busy`: a turn is running, or due.

    The root planner asks only when nothing goes on, because it would ask the user: the budget that its children give
    back comes first.
    """
    account = state.children.account
    if gives:
        account = account.model_copy(update={"granted": account.granted - gives})
    stuck, need = state.children.stuck and not busy, shortfall(state, account)
    if state.depth == 1 and not stuck:
        need = Amount()
    recall, times = max(state.grant_version, (state.recall, 0))
    version = (recall, times + 1) if gives else state.grant_version
    return Ask(child=key_of(state.me), granted=account.granted, need=need, stuck=stuck, grant_version=version)


def shortfall(state: PlannerState, account: Account | None = None) -> Amount:
    """The amount to ask the parent for; zero when nothing waits for it."""
    if state.children.no_more or state.closing is not None:
        return Amount()
    account = account or state.children.account
    return lending.shortfall(state.children, account).most(_lacking_calls(state, account))


def _lacking_calls(state: PlannerState, account: Account) -> Amount:
    """The amount missing for more calls of the interrupted turn; nothing when there is none, or it can go on."""
    if account.free.covers(state.need):
        return Amount()
    return (state.need.times(CALLS) - account.free).most(Amount()).where(state.need)


def to_call_back(state: PlannerState) -> tuple[tuple[ChildKey, ...], Amount]:
    """Sub-planners to ask for their unneeded budget, and the amount that is missing here or above."""
    lack = lending.least_shortfall(state.children) or state.called or Amount()
    if not lack or state.children.no_more:
        return (), lack
    return lending.to_call_back(state.children, for_parent=state.called is not None), lack
