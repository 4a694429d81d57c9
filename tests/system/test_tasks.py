"""A task whose end is waited for and whose result is not wanted reports nothing to its loop."""

import asyncio

import pytest

from headway.system.tasks import until_ended
from tests.support.loops import Loops


async def fails_when_cancelled(began: asyncio.Event) -> None:
    try:
        began.set()
        await asyncio.Event().wait()
    finally:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("impatient", [False, True])
async def test_the_error_of_a_task_that_ends_in_vain_is_not_reported(*, impatient: bool) -> None:
    with Loops().watched():
        began = asyncio.Event()
        task = asyncio.create_task(fails_when_cancelled(began))
        await began.wait()
        task.cancel()
        waiting = asyncio.create_task(until_ended(task))
        if impatient:  # a second cancellation does not wait
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.wait({waiting})
        await asyncio.wait({task})
        del task, waiting
        await asyncio.sleep(0)


async def test_a_task_that_is_left_alone_is_reported() -> None:
    """The test above could not fail otherwise."""
    loops = Loops()
    with pytest.raises(AssertionError, match=r"never retrieved.*No space left"):
        await _left_alone(loops)


async def _left_alone(loops: Loops) -> None:
    with loops.watched():
        began = asyncio.Event()
        task = asyncio.create_task(fails_when_cancelled(began))
        await began.wait()
        task.cancel()
        await asyncio.wait({task})
        del task
