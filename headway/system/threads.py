"""Blocking work off the event loop, which is never left half done: a cancelled caller waits for it to end."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from headway.system.tasks import until_ended

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, run in a thread.

    A thread cannot be cancelled, and git or the log must not be closed under it: on cancellation its end is awaited
    before the cancellation goes on.
    """
    call = partial(copy_context().run, work, *args, **kwargs)
    running = asyncio.get_running_loop().run_in_executor(None, call)  # a future, where `to_thread` takes a task as well
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await until_ended(running)
        raise
