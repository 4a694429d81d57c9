"""A workflow's own facts, which no argument carries: its id, its children's ids, its time."""

from temporalio import workflow

from headway.domain.ids import AgentId, ChildKey, child_id


def me() -> AgentId:
    """The id of the workflow that asks."""
    return AgentId(workflow.info().workflow_id)


def child(key: ChildKey) -> AgentId:
    """The id of one of its children."""
    return child_id(me(), key)


def now() -> float:
    """Its time, in seconds since the epoch: that of its newest workflow task, the same in a replay."""
    return workflow.now().timestamp()
