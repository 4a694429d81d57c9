"""Signals between workflows: sent until they arrive, to a workflow id without a run id, so that they survive
continue-as-new on both sides.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from headway.domain.commands import Downward, Upward
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, all_above
from headway.domain.messages import Ask, CallBack, Grant
from headway.domain.state.control import Control
from headway.domain.tree import TreeNode

GONE = "ExternalWorkflowExecutionNotFound"
RETRY_EVERY = timedelta(seconds=5)

Message = Upward | Downward

NAMES: dict[type[Message], str] = {
    HandoffNotice: "handoff",
    Ask: "ask",
    TreeNode: "digest",
    Grant: "grant",
    CallBack: "call_back",
    Control: "control",
}
"""The signal that carries each kind of message."""


async def tell(agent: AgentId, message: Message) -> bool:
    """Signal a workflow. False only when it is closed; any other failure is tried again until it succeeds."""
    name = NAMES[type(message)]
    return await _until_sent(agent, lambda: workflow.get_external_workflow_handle(agent).signal(name, message))


async def tell_above(me: AgentId, message: Callable[[AgentId], Message]) -> bool:
    """Signal the nearest workflow above `me` that is open: its planner, where that is closed the one above, its run.

    `message` makes the message for that workflow; a child's key is another one under each of them. False when all are
    closed, the run included: no agent below it has anything to work for then.
    """
    for above in all_above(me):
        if await tell(above, message(above)):
            return True
    return False


async def cancel(agent: AgentId) -> bool:
    """Ask a workflow to cancel. False only when it is closed; any other failure is tried again until it succeeds."""
    return await _until_sent(agent, lambda: workflow.get_external_workflow_handle(agent).cancel())


async def _until_sent(agent: AgentId, send: Callable[[], Awaitable[None]]) -> bool:
    while True:
        try:
            await send()
        except ApplicationError as error:
            if error.type == GONE:
                return False
            workflow.logger.warning("a message to %s is sent again: %s", agent, error)
            await workflow.sleep(RETRY_EVERY)
        else:
            return True


def taken_as_cancelled(error: asyncio.CancelledError) -> None:
    """Return when this workflow was asked to cancel; the same exception also comes when it leaves the cache.

    Raises:
        asyncio.CancelledError: `error` itself in that other case, when nothing may be started any more.
    """
    if workflow.cancellation_reason() is None:
        raise error
