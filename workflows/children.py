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

from headway.domain.ids import ChildKey, child_id
from headway.domain.messages import TaskOrder
from headway.domain.planner_turn import ChildKind
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount
from headway.domain.state.children import nothing_lent
from headway.domain.state.planner import PlannerState
from workflows import options

RUN = SearchAttributeKey.for_keyword("HeadwayRun")
ROLE = SearchAttributeKey.for_keyword("HeadwayRole")
DEPTH = SearchAttributeKey.for_int("HeadwayDepth")
STATE = SearchAttributeKey.for_keyword("HeadwayState")

STARTED = "running"
"""The state with which a workflow begins."""

Attributes = list[SearchAttributePair[Any]]


async def start_child(state: PlannerState, key: ChildKey) -> bool:
    """Start an outstanding child of a planner. True when it was there already and is adopted."""
    child = state.books.children[key]
    me, text = child_id(state.me, key), Ref(log=state.me, seq=child.seq, item=child.item)
    granted = child.lent or Amount()
    if child.kind is ChildKind.PLANNER:
        return await start_planner(
            PlannerState(
                context=state.context,
                me=me,
                title=child.title,
                scope=text,
                depth=state.depth + 1,
                books=nothing_lent(granted, state.context.sizes, state.context.sizes.planner_call),
                control=state.control,
                control_told=state.control.version,
            )
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
    return await _start("Task", order, known_attributes(state.context, "worker", state.depth))


async def start_planner(state: PlannerState) -> bool:
    """Start a planner as a child. True when it was there already and is adopted."""
    return await _start("Planner", state, known_attributes(state.context, "planner", state.depth))


async def _start(kind: str, order: TaskOrder | PlannerState, attributes: Attributes) -> bool:
    try:
        # ABANDON, because continue-as-new counts as a close, and the default would terminate the child then.
        started = await workflow.start_child_workflow(
            kind,
            order,
            id=order.me,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=order.title,
            priority=options.child_priority(order.me),
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


def tell_state(context: RunContext, told: str, now: str) -> str:
    """Set the search attribute by which lists show a workflow's state, if that changed. Returns its value now.

    It changes with states only: each change is an event of the history.
    """
    if now != told and STATE.name in context.attributes:
        workflow.upsert_search_attributes([STATE.value_set(now)])
    return now


def known_attributes(context: RunContext, role: str, depth: int) -> Attributes:
    """Our attributes that the service knows: an unregistered attribute would leave the workflow RUNNING permanently."""
    ours: Attributes = [
        SearchAttributePair(RUN, str(context.run)),
        SearchAttributePair(ROLE, role),
        SearchAttributePair(DEPTH, depth),
        SearchAttributePair(STATE, STARTED),
    ]
    return [pair for pair in ours if pair.key.name in context.attributes]
