"""The commands of a planner towards its children: start, tell, drop and audit them."""

from headway.domain.commands import Call, CancelChild, Command, Signal, StartChild
from headway.domain.decisions.lending import to_drop
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.messages import DescribeChildren, StoreHandoff, TaskOrder
from headway.domain.planner_turn import ChildKind
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount
from headway.domain.state.children import Children, new_children
from headway.domain.state.planner import PlannerState

AUDITED_AT_ONCE = 200
"""Children of one audit activity, so that its argument stays small."""
DROPPED_AT_ONCE = 50
"""Children whose handoffs are stored at once."""


def start(state: PlannerState, key: ChildKey, granted: Amount) -> StartChild:
    """Start an outstanding child."""
    child, sizes = state.children.open[key], state.context.sizes
    me, text = child_id(state.me, key), Ref(log=state.me, seq=child.seq, item=child.item)
    if child.kind is ChildKind.PLANNER:
        return start_planner(
            key,
            PlannerState(
                context=state.context,
                me=me,
                title=child.title,
                scope=text,
                depth=state.depth + 1,
                children=new_children(granted, sizes, sizes.planner_call),
                control=state.control,
                recall=state.control.recall,
            ),
        )
    order = TaskOrder(
        context=state.context,
        me=me,
        task=text,
        title=child.title,
        priority=child.priority,
        grant=granted,
        control=state.control,
    )
    return StartChild(key, "Task", me, child.title, "worker", state.depth, granted, order)


def start_planner(key: ChildKey, state: PlannerState) -> StartChild:
    """Start a planner with this state."""
    granted = state.children.account.granted
    return StartChild(key, "Planner", state.me, state.title, "planner", state.depth, granted, state)


def informs(state: PlannerState) -> list[Command]:
    """The control record for the children that may not know it."""
    if not state.control.version:
        return []
    return [
        Signal(child_id(state.me, key), state.control)
        for key in dict.fromkeys(state.present.to_inform)
        if key in state.children.open
    ]


def drops(state: PlannerState, now: float) -> list[Command]:
    """The handoffs of children that never started and never will."""
    if now < state.present.drop_at:
        return []
    commands: list[Command] = []
    for key in to_drop(state.children, closing=state.closing is not None)[:DROPPED_AT_ONCE]:
        child, me = state.children.open[key], child_id(state.me, key)
        if child.recovered:
            commands.append(CancelChild(me))  # an earlier past may have started it
        order = StoreHandoff(
            context=state.context,
            me=me,
            title=child.title,
            role="planner" if child.kind is ChildKind.PLANNER else "worker",
            status=HandoffStatus.CANCELLED,
            why="cancelled before it started" if child.cancelled else "never started: the budget or the hours ran out",
        )
        commands.append(Call(order, f"handoff: {order.status}"))
    return commands


def audits(context: RunContext, me: AgentId, children: Children) -> list[Command]:
    """The audit of all children that were started."""
    started, calls = children.started, list[Command]()
    for at in range(0, len(started), AUDITED_AT_ONCE):
        part = started[at : at + AUDITED_AT_ONCE]
        planners = tuple(key for key in part if children.open[key].kind is ChildKind.PLANNER)
        order = DescribeChildren(
            context=context,
            me=me,
            tasks=tuple(key for key in part if children.open[key].kind is ChildKind.TASK),
            planners=planners,
            known=children.known_below(planners),
        )
        calls.append(Call(order, "audit"))
    return calls
