"""A run's tree as its planners see it now: digests go up only now and then, so the planners are asked themselves."""

import asyncio
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, RunName
from headway.domain.tree import TreeNode
from headway.runs.run_lookup import find_run, root_planners

PLANNERS_ASKED = 12
"""Number of open planners that are asked; the tree below the others comes from their last digests."""

ANSWER_S = 5.0
TRIES = 4
"""A workflow task fails once or twice also in good health, for instance when a signal comes in at its end."""


async def ask(client: Client, workflow: str, query: str, within_s: float = ANSWER_S) -> Any:
    """A workflow's answer to a query.

    Raises:
        TimeoutError: No worker process answers within a few seconds.
        RPCError: The service has no such workflow, or does not answer.
        WorkflowQueryFailedError: The workflow cannot answer.
    """
    # The SDK would try again for longer than its user watches.
    async with asyncio.timeout(within_s):
        return await client.get_workflow_handle(workflow).query(query)


async def live_tree(client: Client, run: RunName) -> TreeNode | None:
    """The root planner with everything below it; None before it exists, or when no worker process answers."""
    root_id = await _root_id(client, run)
    root = await _node(client, root_id) if root_id is not None else None
    return await _grown(client, root, [PLANNERS_ASKED]) if root is not None else None


async def failing(client: Client, workflow: str) -> str:
    """In words, that a workflow fails at every try, which is a fault of ours and looks like a hang; else empty."""
    try:
        described = await client.get_workflow_handle(workflow).describe()
    except RPCError:
        return ""
    tries = described.raw_description.pending_workflow_task.attempt
    if tries < TRIES:
        return ""
    return f"the workflow {workflow} has failed {tries - 1} times at the same place; logs/workflows.log says why"


async def root_failing(client: Client, run: RunName) -> str:
    """The same of the run's root planner."""
    root = await _root_id(client, run)
    return await failing(client, root) if root is not None else ""


async def _root_id(client: Client, run: RunName) -> AgentId | None:
    """The id of the root planner at work, or of the last one."""
    try:
        known = await find_run(client, run)
        roots = await root_planners(client, known) if known is not None else []
    except RPCError:
        return None
    return roots[-1] if roots else None


async def _grown(client: Client, node: TreeNode, left: list[int]) -> TreeNode:
    """The node with each open sub-planner replaced by its own answer, breadth first, as long as `left` lasts."""
    open_ones = [child for child in node.children if child.kind == "planner" and child.state not in set(HandoffStatus)]
    asked = open_ones[: left[0]]
    left[0] -= len(asked)
    answers = await asyncio.gather(*(_node(client, child.id) for child in asked))
    fresh = {answer.id: await _grown(client, answer, left) for answer in answers if answer is not None}
    return node.model_copy(update={"children": tuple(fresh.get(child.id, child) for child in node.children)})


async def _node(client: Client, planner: AgentId) -> TreeNode | None:
    try:
        return TreeNode.model_validate(await ask(client, planner, "tree"))
    except (TimeoutError, RPCError, WorkflowQueryFailedError, ValidationError):
        return None
