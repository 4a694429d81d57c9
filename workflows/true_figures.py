"""Answers queries with the present facts of a run's folder: history hears of spending only now and then.

Queries are no part of history, so that a replay is the same with it and without. Where the folder is not on this
machine, queries are answered by what the workflows know.
"""

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleQueryInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from headway.domain.figures import Seen
from headway.domain.ids import RunName, run_of
from headway.domain.run_status import status
from headway.domain.tree import TreeNode, filled
from workflows import execution
from workflows.odd_messages import DETAILS

SEEN, AHEAD = "headway_seen", "headway_read_ahead"


class TrueFigures(Interceptor):
    """Given to the worker of workflows.

    Args:
        seen: Reads the figures in a run's folder; None when there is no folder. It must answer within half a second.
        ahead: Has them read before they are asked for, and returns at once: the first read of a large run takes long.
    """

    def __init__(self, seen: Callable[[RunName], Seen | None], ahead: Callable[[RunName], None]) -> None:
        self._seen = seen
        self._ahead = ahead

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's own name
    ) -> type[WorkflowInboundInterceptor]:
        """The part that stands in each workflow's sandbox."""
        input.unsafe_extern_functions[SEEN] = self._seen
        input.unsafe_extern_functions[AHEAD] = self._ahead
        return _Queries


class _Queries(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's own name
        workflow.extern_functions()[AHEAD](run_of(execution.me()))
        return await super().execute_workflow(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - the SDK's own name
        answer = await super().handle_query(input)
        if input.query not in {"status", "tree", DETAILS}:
            return answer
        seen: Seen | None = workflow.extern_functions()[SEEN](run_of(execution.me()))
        return answer if seen is None else _filled(workflow.instance(), input.query, answer, seen)


def _filled(running: Any, query: str, answer: Any, seen: Seen) -> Any:
    kind = workflow.info().workflow_type
    if kind == "Run" and workflow.info().first_execution_run_id != seen.incarnation:
        return answer  # another start of the same name has the folder now
    if kind == "Planner" and execution.me() not in seen.figures.agents:
        return answer
    match kind, query:
        case (("Planner" | "Run"), "tree"):
            return filled(answer, seen.figures) if isinstance(answer, TreeNode) else answer
        case "Run", "status":
            return status(running.state, seen)
        case "Run", _:
            answer.current_details = running.details(seen)
        case "Planner", "__temporal_workflow_metadata":
            answer.current_details = running.details(seen.figures)
    return answer
