"""Calls activities for all workflows. A call that fails for good returns a value and never unwinds its workflow.

The caller turns the failure into a note, a verdict or a handoff. `tests/workflows/test_doors.py` keeps
`execute_activity` out of every other module.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from workflows import signals
from workflows.options import ActivityOptions

P = TypeVar("P")
T = TypeVar("T")

WHY_CHARS = 2_000
AGAIN_AT_MOST_S = 600


@dataclass(frozen=True)
class Failed:
    """An activity that failed for good: with a `UserError`, or too often in a row for an unnamed reason.

    Attributes:
        why: The cause in words.
        by_user: True if only the user can remove the cause.
    """

    why: str
    by_user: bool = False


async def attempt(effect: Callable[[Any, P], Awaitable[T]], order: P, options: ActivityOptions) -> T | Failed:
    """Call an activity.

    Raises:
        asyncio.CancelledError: This workflow was asked to cancel, and the activity ended for that.
    """
    try:
        return await workflow.execute_activity_method(effect, order, **options)
    except ActivityError as error:
        if isinstance(error.cause, CancelledError):
            signals.heed_cancel()
        return _failed(error)


async def until_done(
    effect: Callable[[Any, P], Awaitable[T]],
    order: P,
    options: ActivityOptions,
    *,
    again_s: float,
    tell: Callable[[str], None],
) -> T:
    """Call an activity until it succeeds, without a limit of tries. Each failure is passed to `tell`.

    `again_s` is the wait in seconds before the second try. The wait doubles with each further try, up to ten minutes.
    """
    while True:
        found = await attempt(effect, order, options)
        if not isinstance(found, Failed):
            return found
        tell(found.why)
        await workflow.sleep(timedelta(seconds=again_s))
        again_s = later(again_s)


def later(again_s: float) -> float:
    """Seconds until the next try, after a wait of `again_s`."""
    return max(again_s, min(2 * again_s, AGAIN_AT_MOST_S))


def _failed(error: ActivityError) -> Failed:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return Failed(why=cause.message[:WHY_CHARS], by_user=cause.type == "UserError")
    return Failed(why=str(cause or error)[:WHY_CHARS])
