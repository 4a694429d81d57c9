"""The event loops of workflows and activities, watched: an exception that no code retrieves fails the test."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

HEARD = "test_heard_by_loop"


class Loops(Interceptor):
    """Given to a worker, it takes what the loop of each workflow reports.

    Attributes:
        reports: What a loop reported, in words.
    """

    def __init__(self) -> None:
        self.reports: list[str] = []

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's own name
    ) -> type[WorkflowInboundInterceptor]:
        input.unsafe_extern_functions[HEARD] = self.hear
        return _Watched

    def hear(self, context: dict[str, Any]) -> None:
        """Take a report."""
        self.reports.append(f"{context.get('message')}: {context.get('exception')!r}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the running loop as well, and assert at the end that no loop reported anything."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.hear(context))
        try:
            yield
        finally:
            gc.collect()  # a task tells of its exception when it goes
            loop.set_exception_handler(None)
        assert not self.reports, self.reports


class _Watched(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's own name
        hear = workflow.extern_functions()[HEARD]
        asyncio.get_running_loop().set_exception_handler(lambda _, context: hear(context))
        return await super().execute_workflow(input)
