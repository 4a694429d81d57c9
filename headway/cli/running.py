"""Runs the asynchronous part of a command, and turns the service's refusals into words for the user."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from headway.domain.errors import UserError

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`.

    Raises:
        UserError: Also for whatever the Temporal service refused.
    """
    import asyncio

    from temporalio.service import RPCError

    try:
        return asyncio.run(work)
    except RPCError as error:
        raise UserError(f"The Temporal service answered: {error.message} ({error.status.name.lower()})") from error
