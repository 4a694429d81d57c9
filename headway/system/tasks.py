"""Tasks of an event loop that end before their result is wanted."""

import asyncio
from typing import Any


async def until_ended(task: "asyncio.Future[Any]") -> None:
    """Wait for the end of a task whose result is not wanted any more, because another error or a cancellation counts.

    Its own error is retrieved: the loop would report one that was left alone, in the middle of nowhere.
    """
    try:
        await asyncio.wait({task})
    finally:
        task.add_done_callback(_retrieve)


def _retrieve(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()
