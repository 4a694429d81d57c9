"""The next turn of a planner, as it is asked for."""

from headway.domain.planner_turn import HANDOFFS_PER_TURN, SPAWNS_PER_TURN, Final, PlanTurn
from headway.domain.state.budget import Amount
from headway.domain.state.children import MAX_OUTSTANDING
from headway.domain.state.planner import PlannerState


def next_turn(state: PlannerState, final: Final | None = None) -> PlanTurn:
    """The argument of the turn that is due. After a reset it is asked for under a new key."""
    account, children = state.children.account.model_copy(update={"aside": Amount()}), state.children
    free = account.free
    spawnable = min(
        SPAWNS_PER_TURN,
        state.context.open_tasks - children.tasks_open,
        MAX_OUTSTANDING - len(children.open),
    )
    if state.depth == 1 or children.no_more:
        # The parent has no more to give. Otherwise tasks beyond the grant wait, and the parent is asked for them.
        spawnable = min(spawnable, free.tasks - children.waiting)
    return PlanTurn(
        context=state.control.in_force(state.context),
        me=state.me,
        # Kept over continue-as-new: an interrupted turn must come back to its own place in the log.
        key=state.turn_key or f"{state.present.run_id}/{state.turn}",
        turn=state.turn,
        from_seq=state.seq,
        scope=state.scope,
        depth=state.depth,
        inbox=tuple(state.inbox[:HANDOFFS_PER_TURN]),
        steers=tuple(state.steers),
        allowance=account.own + account.turn(),
        balance=free,
        more=state.depth > 1 and not children.no_more,
        spawnable=max(0, spawnable),
        may_delegate=state.depth < state.context.depth and len(children.open) < MAX_OUTSTANDING,
        fresh=state.fresh,
        final=final,
        nudge=state.nudge,
        renewed=state.control.renewed,
        amendments=tuple(amended.seq for amended in state.control.amendments),
    )
