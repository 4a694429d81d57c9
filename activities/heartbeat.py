"""Heartbeats, and the translation of an activity's failure for Temporal: every activity of ours shares these two."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.server_time import begin_server_time
from activities.tries import Tries
from headway.domain.errors import LeaseLost, TransientError, UserError
from headway.domain.progress import Progress
from headway.system.shortage import WAIT_S, lacking

P = ParamSpec("P")
T = TypeVar("T")

PASSING_FAULT_S = 3.0
"""Seconds for a fault to pass, if it does not name its own delay."""


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Progress]:
    """Heartbeat in the background while the activity works.

    A heartbeat only proves that the event loop lives, which is the purpose of the timeout. After a kill -9 of the
    server an activity that is marked as started may never have reached a worker process, and only this timeout finds
    it.
    """
    doing = ["started"]
    every = _interval()

    async def beating() -> None:
        while True:
            activity.heartbeat(doing[0])
            await asyncio.sleep(every)

    def progress(what: str) -> None:
        doing[0] = what

    task = asyncio.create_task(beating())
    try:
        yield progress
    finally:
        task.cancel()


def _interval() -> float:
    timeout = activity.info().heartbeat_timeout
    return min(timeout.total_seconds() / 4, 5.0) if timeout else 5.0


def as_application_error(effect: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Turn the errors of the domain into Temporal's words: retryable or not, and the delay of the retry."""
    tries = Tries()

    @wraps(effect)
    async def told(*args: P.args, **kwargs: P.kwargs) -> T:
        begin_server_time()
        this = f"{activity.info().workflow_run_id}/{activity.info().activity_id}"
        try:
            result = await effect(*args, **kwargs)
        except UserError as error:
            tries.ended(this)
            raise ApplicationError(str(error), type="UserError", non_retryable=True) from error
        except TransientError as error:
            tries.ended(this)
            raise ApplicationError(str(error), type="TransientError", next_retry_delay=_delay(error.delay_s)) from error
        except LeaseLost as error:
            # Retryable on purpose: if this is the attempt that counts, its successor takes a newer lease and goes on;
            # if it is not, the server ignores the failure.
            tries.ended(this)
            raise ApplicationError(str(error), type="LeaseLost") from error
        except Exception as error:
            if (short := lacking(error)) is not None:
                # Waited for without end: it passes, and no agent fails for a shortage of its machine.
                tries.ended(this)
                text = f"{short} ({error})"
                raise ApplicationError(text, type="Shortage", next_retry_delay=_delay(WAIT_S)) from error
            # A bug of ours, or of a library. One that does not pass must end in a handoff and not be tried again all
            # night.
            text = f"{type(error).__name__}: {error}"
            raise ApplicationError(text, type=type(error).__name__, non_retryable=tries.failed(this)) from error
        tries.ended(this)
        return result

    return told


def _delay(seconds: float | None) -> timedelta:
    # Always named: a worker's attempt is one activity, whose own backoff would grow over days of passing faults. Never
    # zero, which the SDK takes for not named.
    return timedelta(seconds=max(PASSING_FAULT_S if seconds is None else seconds, 0.001))
