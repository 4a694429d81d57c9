"""Histories of workflows: from the service, or from a file as the stock CLI and the Web UI write it."""

import asyncio
import gzip
from collections import deque
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.errors import UserError

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent

AT_ONCE = 4
"""Histories that are fetched ahead; each may have megabytes."""


def read_history(path: Path) -> WorkflowHistory:
    """A history from a JSON file, also one that gzip packed.

    Raises:
        UserError: The file is no history, or lacks the workflow's id.
    """
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        events = WorkflowHistory.from_json("", text.decode()).events
        # Ids of children derive from it, so a replay under another id differs although the code is the same.
        workflow = events[0].workflow_execution_started_event_attributes.workflow_id
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise UserError(
            f"{path}: is not a history of a workflow: {error}",
            "Write one with `temporal workflow show --workflow-id ID -o json > FILE`.",
        ) from error
    if not workflow:
        raise UserError(f"{path}: its first event does not say of which workflow it is.")
    return WorkflowHistory(workflow, events)


async def fetch_histories(client: Client, executions: Iterable[WorkflowExecution]) -> AsyncIterator[WorkflowHistory]:
    """The histories of these executions, in their order; those that are gone meanwhile are left out."""
    waiting: deque[asyncio.Task[WorkflowHistory | None]] = deque()
    try:
        for execution in executions:
            waiting.append(asyncio.create_task(_fetch(client, execution)))
            if len(waiting) >= AT_ONCE and (history := await waiting.popleft()) is not None:
                yield history
        while waiting:
            if (history := await waiting.popleft()) is not None:
                yield history
    finally:
        for task in waiting:
            task.cancel()


async def _fetch(client: Client, execution: WorkflowExecution) -> WorkflowHistory | None:
    try:
        return await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def has_decided(history: WorkflowHistory) -> bool:
    """True if workflow code has ever run for it."""
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for event in history.events)


def size_of(history: WorkflowHistory) -> int:
    """Bytes."""
    return sum(event.ByteSize() for event in history.events)


def type_of(history: WorkflowHistory) -> str:
    """The workflow's type."""
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def title_of(event: "HistoryEvent") -> str:
    """An event in words: its type, and the name of its subject."""
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").replace("_", " ").title().replace(" ", "")
    attributes = event.WhichOneof("attributes")
    about = getattr(event, attributes) if attributes else None
    for field in ("activity_type", "workflow_id", "workflow_type", "workflow_execution", "signal_name", "timer_id"):
        value = getattr(about, field, None)
        name = getattr(value, "name", None) or getattr(value, "workflow_id", None) or value
        if isinstance(name, str) and name:
            return f"{kind} {name}"
    return kind
