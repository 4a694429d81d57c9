"""Waits for a condition that threads, other processes or the kernel bring about.

The deadline only ends a test that would hang. It is far longer than a busy machine needs, so no test depends on it.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

WITHIN_S = 60.0
EVERY_S = 0.02


async def until(
    condition: Callable[[], bool | Awaitable[bool]], within_s: float = WITHIN_S, *, every_s: float = EVERY_S
) -> None:
    """Return as soon as a condition holds.

    Raises:
        AssertionError: It does not hold within that time.
    """
    deadline = time.monotonic() + within_s
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() < deadline, f"{_words(condition)}: not so within {within_s:g} s"
        await asyncio.sleep(every_s)


def wait_until(condition: Callable[[], bool], within_s: float = WITHIN_S, *, every_s: float = EVERY_S) -> None:
    """Block this thread until a condition holds.

    Raises:
        AssertionError: It does not hold within that time.
    """
    assert soon(condition, within_s, every_s=every_s), f"{_words(condition)}: not so within {within_s:g} s"


def soon(condition: Callable[[], bool], within_s: float = WITHIN_S, *, every_s: float = EVERY_S) -> bool:
    """Tell whether a condition holds within that time. Returns as soon as it does."""
    deadline = time.monotonic() + within_s
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(every_s)
    return holds


def _words(condition: Callable[..., object]) -> str:
    """The condition as it is written, or its name where the source cannot be read."""
    try:
        return inspect.getsource(condition).strip()
    except OSError:
        return repr(condition)
