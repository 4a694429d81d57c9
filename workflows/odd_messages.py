"""Inputs and signals that are none. By the SDK's own rules each of them would leave its workflow RUNNING permanently.

A failure outside of our code, before a handler is called or at the call itself, fails the workflow's task, which is
tried again without end. So a signal is dropped unless its input is one object, and an untyped input that cannot be read
fails its workflow with one message.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

DETAILS = "__temporal_workflow_metadata"
"""The query by which the Web UI and `temporal workflow metadata` read the current details."""


class OneInputEach(Interceptor):
    """Given to the worker of workflows, and to every replay."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's own name
    ) -> type[WorkflowInboundInterceptor]:
        """The part that stands in each workflow's sandbox."""
        del input
        return _Handlers


class _Handlers(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the SDK's own name
        if _is_one_object(input.args):
            await super().handle_signal(input)
        else:
            workflow.logger.warning("signal %s dropped: its input is not one JSON object", input.signal)

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - the SDK's own name
        """Current details are made when they are asked for."""
        answer = await super().handle_query(input)
        if input.query == DETAILS and not answer.current_details:
            answer.current_details = workflow.instance().details()
        return answer

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002 - the SDK's own name
        if not _is_one_object(input.args):
            raise ApplicationError(f"{input.update}: its input must be one JSON object", type="UserError")
        super().handle_update_validator(input)


def _is_one_object(args: Sequence[Any]) -> bool:
    """JSON has been validated by the SDK, which drops what is not valid. Nothing and bare bytes pass it unseen."""
    return len(args) == 1 and isinstance(args[0], BaseModel)


class _Converter(PydanticPayloadConverter):
    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        try:
            return super().from_payloads(payloads, type_hints)
        except Exception as error:
            if type_hints is not None:
                raise
            why = " ".join(str(error).split()).partition(" [type=")[0][-200:]
            said = f"input: cannot be read: {why}\nGive one JSON object in UTF-8, as --input or --input-file."
            raise ApplicationError(said, type="UserError", non_retryable=True) from error


CONVERTER = DataConverter(payload_converter_class=_Converter)
"""For the worker of workflows, and for every replay."""
