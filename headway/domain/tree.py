"""The tree of agents as queries and digests show it: titles, states and counts, bounded in size."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.figures import RunFigures
from headway.domain.ids import AgentId, ChildKey
from headway.domain.run import RunContext
from headway.domain.state.budget import Bill

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

    def under(self, key: ChildKey) -> "TreeNode":
        """The same for a workflow that knows the agent by this key."""
        return self.model_copy(update={"key": key})


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


def walk(node: TreeNode, depth: int = 0) -> Iterator[tuple[TreeNode, int]]:
    """The node and everything below it, with its depth."""
    yield node, depth
    for child in node.children:
        yield from walk(child, depth + 1)
