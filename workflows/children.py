"""Starting a planner's children, or adopting those that a retry or a reset finds started."""

from typing import Any

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from headway.domain.commands import StartChild
from headway.domain.run import RunContext
from workflows import options

RUN = SearchAttributeKey.for_keyword("HeadwayRun")
ROLE = SearchAttributeKey.for_keyword("HeadwayRole")
DEPTH = SearchAttributeKey.for_int("HeadwayDepth")
STATE = SearchAttributeKey.for_keyword("HeadwayState")

STARTED = "running"
"""The state with which a workflow begins."""

Attributes = list[SearchAttributePair[Any]]


async def start(child: StartChild, run: RunContext) -> bool:
    """Start a child. True when it was there already and is adopted."""
    attributes = known_attributes(run, child.role, child.depth)
    try:
        # ABANDON, because continue-as-new counts as a close, and the default would terminate the child then.
        started = await workflow.start_child_workflow(
            child.workflow,
            child.argument,
            id=child.me,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=child.title,
            priority=options.child_priority(child.me),
            search_attributes=TypedSearchAttributes(attributes) if attributes else None,
        )
    except WorkflowAlreadyStartedError:
        return True
    started.add_done_callback(_retrieve)
    return False


def _retrieve(child: workflow.ChildWorkflowHandle[Any, Any]) -> None:
    """Take the error of a child that closed: its handoff came by signal, and an error left alone fills the log."""
    if not child.cancelled():
        child.exception()


def list_as(state: str, run: RunContext) -> None:
    """Set the search attribute by which lists show a workflow's state. Each change is an event of the history."""
    if STATE.name in run.attributes:
        workflow.upsert_search_attributes([STATE.value_set(state)])


def known_attributes(context: RunContext, role: str, depth: int) -> Attributes:
    """Our attributes that the service knows: an unregistered attribute would leave the workflow RUNNING permanently."""
    ours: Attributes = [
        SearchAttributePair(RUN, str(context.run)),
        SearchAttributePair(ROLE, role),
        SearchAttributePair(DEPTH, depth),
        SearchAttributePair(STATE, STARTED),
    ]
    return [pair for pair in ours if pair.key.name in context.attributes]
