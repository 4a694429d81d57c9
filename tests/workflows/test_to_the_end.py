"""Work that a cancelled workflow finishes first: a cancellation follows it, an error of it comes before."""

import asyncio
from typing import NoReturn

import pytest

from tests.support.loops import Loops
from workflows.world import to_the_end


async def test_a_cancellation_is_raised_after_the_work() -> None:
    release, done = asyncio.Event(), asyncio.Event()
    heard: list[asyncio.CancelledError] = []

    async def work() -> None:
        await release.wait()
        done.set()

    task = asyncio.create_task(to_the_end(work(), heard.append))
    await asyncio.sleep(0)
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    assert len(heard) == 1


async def test_an_error_of_the_work_is_raised_in_place_of_the_cancellation() -> None:
    release = asyncio.Event()
    heard: list[asyncio.CancelledError] = []

    async def work() -> NoReturn:
        await release.wait()
        raise ValueError

    with Loops().watched():
        task = asyncio.create_task(to_the_end(work(), heard.append))
        await asyncio.sleep(0)
        task.cancel()
        release.set()
        with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
            await task
