"""The tree of agents as queries and digests show it: titles, states and counts, bounded in size."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.figures import RunFigures
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.limits import waits_words
from headway.domain.planner_turn import ChildKind
from headway.domain.run import RunContext
from headway.domain.state.budget import Bill
from headway.domain.state.child import Child
from headway.domain.state.planner import PlannerState

NODES_PER_PLANNER = 60
"""Children that one planner's node names; the rest are counted in `more`."""
DIGEST_BYTES = 8_000
"""A digest goes up as a signal, at most every 30 s; larger ones lose their deepest nodes first."""


class TreeNode(BaseModel):
    """One agent: its title, its state, and the agents below it.

    Attributes:
        why: Reason of its state, in words, if there is one.
        spent: Of the agent and everything below it.
        commits: Landed by it and everything below it, where the run's folder was there to tell.
    """

    model_config = ConfigDict(frozen=True)

    id: AgentId
    key: ChildKey
    kind: str
    title: str
    state: str
    why: str = ""
    counts: dict[str, int] = Field(default_factory=dict)
    spent: Bill = Bill()
    commits: int = 0
    children: tuple["TreeNode", ...] = ()
    more: int = 0


def planner_node(state: PlannerState, doing: str, below: dict[ChildKey, TreeNode]) -> TreeNode:
    """A planner with its children: open ones first, then the last closed ones. `below` are sub-planners' digests."""
    nodes = [_child_node(state, key, child, below.get(key)) for key, child in state.books.children.items()]
    for closed in reversed(state.books.recent):
        known = below.get(closed.key)
        kind = "planner" if closed.kind is ChildKind.PLANNER else "task"
        fresh = TreeNode(
            id=child_id(state.me, closed.key), key=closed.key, kind=kind, title=closed.title, state=closed.status
        )
        nodes.append(known.model_copy(update={"state": closed.status.value}) if known else fresh)
    spent = sum((below[key].spent.amount for key in state.books.children if key in below), state.books.purse.spent)
    total = sum(state.books.tally.values()) + len(state.books.children)
    shown = nodes[:NODES_PER_PLANNER]
    return TreeNode(
        id=state.me,
        key=ChildKey(state.me.rpartition("/")[2]),
        kind="planner",
        title=state.title,
        state=doing,
        counts={**state.books.tally, "open": len(state.books.children)},
        spent=priced(Bill.of(spent), state.context),
        children=tuple(shown),
        more=max(0, total - len(shown)),
    )


def priced(bill: Bill, context: RunContext) -> Bill:
    """A bill without a price where a model of the run has none: before its first call it would say that all is free."""
    return bill if context.bounds_dollars else bill.model_copy(update={"usd": None})


def filled(node: TreeNode, figures: RunFigures) -> TreeNode:
    """The tree with each agent's usage and landings until now, by the logs."""
    own = figures.total_of(node.id)
    unpriced = own.spent.micro_usd == 0 and node.spent.usd is None
    bill = Bill.of(own.spent)
    return node.model_copy(
        update={
            "spent": bill.model_copy(update={"usd": None}) if unpriced else bill,
            "commits": own.commits,
            "children": tuple(filled(child, figures) for child in node.children),
        }
    )


def within(node: TreeNode, limit: int = DIGEST_BYTES) -> TreeNode:
    """The node cut to `limit` bytes of JSON: first grandchildren become counts, then the children that come last."""
    if _size(node) <= limit:
        return node
    flat = [
        child.model_copy(update={"children": (), "more": child.more + len(child.children)}) for child in node.children
    ]
    size = _size(node.model_copy(update={"children": ()}))
    kept: list[TreeNode] = []
    for child in flat:
        size += _size(child) + 1
        if size > limit:
            break
        kept.append(child)
    return node.model_copy(update={"children": tuple(kept), "more": node.more + len(flat) - len(kept)})


def _size(node: TreeNode) -> int:
    return len(node.model_dump_json().encode())


def _child_node(state: PlannerState, key: ChildKey, child: Child, known: TreeNode | None) -> TreeNode:
    missing = state.books.waits_for(key)
    why = waits_words(missing, state.books.lendable)
    waits = missing or child.need is not None
    stands = "waits for budget" if waits else "asked" if child.lent is None else "open"
    if known is not None:
        return known.model_copy(update={"state": stands, "why": why}) if missing else known
    kind = "planner" if child.kind is ChildKind.PLANNER else "task"
    return TreeNode(id=child_id(state.me, key), key=key, kind=kind, title=child.title, state=stands, why=why)


def walk(node: TreeNode, depth: int = 0) -> Iterator[tuple[TreeNode, int]]:
    """The node and everything below it, with its depth."""
    yield node, depth
    for child in node.children:
        yield from walk(child, depth + 1)
