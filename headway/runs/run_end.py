"""End of a run: its report, or the reason why there is none."""

import asyncio
import time
from dataclasses import dataclass

from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, FailureError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.ids import RunName
from headway.domain.run import Outcome, RunReport

AGAIN_S = 1.0
GONE_S = 5.0
"""Seconds after which a run that the service does not know is taken for removed. A service that just came back up may
not know its own namespace yet."""
EXIT_CODES = {Outcome.DONE: 0, Outcome.DONE_UNPROVEN: 3, Outcome.PARTIAL: 4, Outcome.FAILED: 1, Outcome.CANCELLED: 1}


@dataclass(frozen=True)
class RunEnd:
    """End of a run.

    Attributes:
        report: Its result; None where it has none.
        state: In a word, where there is no report: failed, cancelled, terminated, removed, completed.
        failure: Reason why there is no report.
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
        """The outcome, in a word."""
        return self.report.outcome.value if self.report is not None else self.state


async def run_end_of(client: Client, name: RunName, *, gone_s: float = GONE_S) -> RunEnd:
    """Wait for the run's end. A run that is removed meanwhile has ended too."""
    unknown_since: float | None = None
    while True:
        handle = client.get_workflow_handle(name, result_type=RunReport)
        try:
            return RunEnd(report=await handle.result())
        except WorkflowFailureError as error:
            return _failed(error.cause)
        except (ValueError, KeyError, RuntimeError):  # of the converter: another form, or a codec of its own
            return RunEnd(failure="It ended with another result than a run of Headway has.", state="completed")
        except RPCError as error:
            gone = error.status is RPCStatusCode.NOT_FOUND
            unknown_since = (unknown_since or time.monotonic()) if gone else None
            if unknown_since is not None and time.monotonic() - unknown_since >= gone_s:
                return RunEnd(failure="The service has no record of it any more.", state="removed")
            await asyncio.sleep(min(AGAIN_S, gone_s))


def _failed(cause: BaseException) -> RunEnd:
    match cause:
        case TerminatedError():
            return RunEnd(failure=cause.message, state="terminated")
        case CancelledError():
            return RunEnd(failure="It was cancelled before it wrote a report.", state="cancelled")
        case ApplicationError() | FailureError():
            inner = cause
            while isinstance(inner.__cause__, FailureError):
                inner = inner.__cause__
            return RunEnd(failure=inner.message)
        case _:
            return RunEnd(failure=str(cause))
