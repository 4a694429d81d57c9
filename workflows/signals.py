"""Signals between workflows: sent until they arrive, to a workflow id without a run id, so that they survive
continue-as-new on both sides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from headway.domain.ids import AgentId, all_above

T = TypeVar("T")

GONE = "ExternalWorkflowExecutionNotFound"
RETRY_EVERY = timedelta(seconds=5)

HANDOFF, ASK, GRANT, CALL_BACK = "handoff", "ask", "grant", "call_back"
DIGEST, CONTROL = "digest", "control"


async def tell(agent: AgentId, signal: str, message: BaseModel) -> bool:
    """Signal a workflow. False only when it is closed; any other failure is tried again until it succeeds."""
    return await _until_sent(agent, lambda: workflow.get_external_workflow_handle(agent).signal(signal, message))


async def tell_above(me: AgentId, signal: str, message: Callable[[AgentId], BaseModel]) -> bool:
    """Signal the nearest workflow above `me` that is open: its planner, where that is closed the one above, its run.

    `message` makes the message for that workflow; a child's key is another one under each of them. False when all are
    closed, the run included: no agent below it has anything to work for then.
    """
    for above in all_above(me):
        if await tell(above, signal, message(above)):
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


def heed_cancel() -> None:
    """Raise a cancellation that came while a signal was awaited: the SDK takes it in there and tells it once only.

    For the main coroutine of a workflow, before it turns to its own end.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work` even when this workflow is cancelled meanwhile; the cancellation is raised afterwards.

    An error of `work` is raised in its place: it is ours, and must not be lost.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
