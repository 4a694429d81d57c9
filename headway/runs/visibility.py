"""A run's tree from Temporal's list of workflows alone, for when no worker process answers a query."""

from temporalio.client import Client, WorkflowExecutionStatus

from headway.domain.ids import AgentId, ChildKey, RunName, key_of, parent_of
from headway.domain.tree import TreeNode

MOST = 1_000
STATES = {
    WorkflowExecutionStatus.RUNNING: "open",
    WorkflowExecutionStatus.COMPLETED: "closed",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "open",
    WorkflowExecutionStatus.CANCELED: "cancelled",
}


async def tree_from_visibility(client: Client, run: RunName) -> TreeNode:
    """Every agent of the run, up to a thousand, with the state that Temporal gives it."""
    states: dict[str, str] = {}
    kinds: dict[str, str] = {}
    async for execution in client.list_workflows(f"WorkflowId = '{run}' OR RootWorkflowId = '{run}'", limit=MOST):
        if states.get(execution.id) == "open":
            continue
        known = STATES.get(execution.status) if execution.status else None
        states[execution.id] = known or (execution.status.name.lower() if execution.status else "unknown")
        kinds[execution.id] = "task" if execution.workflow_type == "Task" else "planner"
    return _node(str(run), str(run), states, kinds)


def _node(agent: str, title: str, states: dict[str, str], kinds: dict[str, str]) -> TreeNode:
    below = sorted((other for other in states if other != agent and parent_of(AgentId(other)) == agent), key=_order)
    return TreeNode(
        id=AgentId(agent),
        key=ChildKey(key_of(AgentId(agent)) if "/" in agent else agent),
        kind=kinds.get(agent, "planner"),
        title=title,
        state=states.get(agent, "unknown"),
        children=tuple(_node(other, key_of(AgentId(other)), states, kinds) for other in below),
    )


def _order(agent: str) -> tuple[list[int], str]:
    key = key_of(AgentId(agent))
    numbers = key.partition("-")[0].split(".")
    return [int(part) for part in numbers if part.isdecimal()], key
