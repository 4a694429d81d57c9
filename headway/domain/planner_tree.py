"""A planner in the tree of agents: the node that it shows of itself and its children."""

from headway.domain.decisions.lending import waits_for
from headway.domain.ids import ChildKey, child_id
from headway.domain.limits import waits_words
from headway.domain.planner_turn import ChildKind
from headway.domain.state.budget import Bill
from headway.domain.state.child import Child
from headway.domain.state.planner import PlannerState
from headway.domain.tree import TreeNode, priced

NODES_PER_PLANNER = 60
"""Children that one planner's node names; the rest are counted in `more`."""


def planner_node(state: PlannerState, doing: str, below: dict[ChildKey, TreeNode]) -> TreeNode:
    """A planner with its children: open ones first, then the last closed ones. `below` are sub-planners' digests."""
    nodes = [_child_node(state, key, child, below.get(key)) for key, child in state.children.open.items()]
    for closed in reversed(state.children.recent):
        known = below.get(closed.key)
        kind = "planner" if closed.kind is ChildKind.PLANNER else "task"
        fresh = TreeNode(
            id=child_id(state.me, closed.key), key=closed.key, kind=kind, title=closed.title, state=closed.status
        )
        nodes.append(known.model_copy(update={"state": closed.status.value}) if known else fresh)
    spent = sum((below[key].spent.amount for key in state.children.open if key in below), state.children.account.spent)
    total = sum(state.children.tally.values()) + len(state.children.open)
    shown = nodes[:NODES_PER_PLANNER]
    return TreeNode(
        id=state.me,
        key=ChildKey(state.me.rpartition("/")[2]),
        kind="planner",
        title=state.title,
        state=doing,
        counts={**state.children.tally, "open": len(state.children.open)},
        spent=priced(Bill.of(spent), state.context),
        children=tuple(shown),
        more=max(0, total - len(shown)),
    )


def _child_node(state: PlannerState, key: ChildKey, child: Child, known: TreeNode | None) -> TreeNode:
    missing = waits_for(state.children, key)
    why = waits_words(missing, state.children.lendable)
    waits = missing or child.need is not None
    stands = "waits for budget" if waits else "asked" if child.granted is None else "open"
    if known is not None:
        return known.model_copy(update={"state": stands, "why": why}) if missing else known
    kind = "planner" if child.kind is ChildKind.PLANNER else "task"
    return TreeNode(id=child_id(state.me, key), key=key, kind=kind, title=child.title, state=stands, why=why)
