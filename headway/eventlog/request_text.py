"""The text of a task or a scope, where its ref says it lies: in the answer of the planner that asked for it."""

from headway.domain.errors import HeadwayError
from headway.domain.refs import Ref
from headway.domain.results import Spawn
from headway.domain.task import Scope, TaskSpec
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.store import LogStore


def task_at(store: LogStore, ref: Ref) -> TaskSpec:
    """A task.

    Raises:
        UserError: The log has no such event.
        HeadwayError: It asks for no task there.
    """
    item = _item_at(store, ref)
    if not isinstance(item, TaskSpec):
        raise _no_text(ref)
    return item


def scope_at(store: LogStore, ref: Ref) -> Scope:
    """A scope; raises as `task_at` does."""
    item = _item_at(store, ref)
    if not isinstance(item, Scope):
        raise _no_text(ref)
    return item


def _item_at(store: LogStore, ref: Ref) -> TaskSpec | Scope:
    result = store.said(ref, ToolResult).result
    at = ref.item or 0
    if not isinstance(result, Spawn) or at >= len(result.items):
        raise _no_text(ref)
    return result.items[at]


def _no_text(ref: Ref) -> HeadwayError:
    return HeadwayError(f"event {ref.seq} of {ref.log} asks for nothing like it")
