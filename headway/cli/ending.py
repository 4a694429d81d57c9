"""How a run ended: its report, or why there is none."""

import asyncio
from dataclasses import dataclass

from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, FailureError, TerminatedError
from temporalio.service import RPCError

from headway.domain.ids import RunName
from headway.domain.run import Outcome, RunReport

AGAIN_S = 1.0
EXIT_CODES = {Outcome.DONE: 0, Outcome.DONE_UNPROVEN: 3, Outcome.PARTIAL: 4, Outcome.FAILED: 1, Outcome.CANCELLED: 1}


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        report: Its result; None where it has none.
        state: In a word, where there is no report: failed, cancelled, terminated.
        failure: Why there is no report.
    """

    report: RunReport | None = None
    failure: str = ""
    state: str = "failed"

    @property
    def exit_code(self) -> int:
        """The exit code of `headway run`."""
        return EXIT_CODES[self.report.outcome] if self.report else 1

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        return self.report.outcome.value if self.report is not None else self.state


async def ending_of(client: Client, name: RunName) -> Ending:
    """Wait for the run's end."""
    while True:
        handle = client.get_workflow_handle(name, result_type=RunReport)
        try:
            return Ending(report=await handle.result())
        except WorkflowFailureError as error:
            return _failed(error.cause)
        except RPCError:
            await asyncio.sleep(AGAIN_S)


def _failed(cause: BaseException) -> Ending:
    match cause:
        case TerminatedError():
            return Ending(failure=cause.message, state="terminated")
        case CancelledError():
            return Ending(failure="It was cancelled before it wrote a report.", state="cancelled")
        case ApplicationError() | FailureError():
            inner = cause
            while isinstance(inner.__cause__, FailureError):
                inner = inner.__cause__
            return Ending(failure=inner.message)
        case _:
            return Ending(failure=str(cause))
