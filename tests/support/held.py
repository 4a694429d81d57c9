"""How long a piece of work keeps the other threads of its process waiting, in processor time.

A thread looks at the processor time of the process about once a millisecond. What passes between two of its looks was
used by the work while no other thread could run. Other processes use no time of this one, so a busy machine changes
nothing.
"""

import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

PAUSE_S = 0.0005
HELD_MS = 50.0
"""The longest time that one piece of work may keep the other threads waiting."""


class Held(NamedTuple):
    """Processor time of some work, in milliseconds.

    Attributes:
        longest: The longest stretch in which no other thread could run, the interpreter's own turn included.
        total: All that this thread used.
    """

    longest: float
    total: float


def held(work: Callable[[], object]) -> Held:
    """Do some work in this thread, and measure it."""
    gc.collect()
    # The collector holds the lock as well, for a time that depends on what this process has loaded.
    gc.freeze()
    gaps: list[float] = [0.0]
    done = threading.Event()
    ready = threading.Event()

    def look() -> None:
        before = time.process_time()
        ready.set()
        while not done.is_set():
            time.sleep(PAUSE_S)
            now = time.process_time()
            gaps.append(now - before)
            before = now

    looking = threading.Thread(target=look)
    looking.start()
    ready.wait()
    began = time.thread_time()
    try:
        work()
    finally:
        total = time.thread_time() - began
        done.set()
        looking.join()
    return Held(max(gaps) * 1000, total * 1000)


def assert_held_briefly(work: Callable[[], object], total_ms: float, *refusals: type[Exception]) -> None:
    """Fail when work, which may end with one of `refusals`, keeps other threads waiting too long, or takes too much."""

    def done() -> None:
        with suppress(*refusals):
            work()

    found = held(done)
    if found.longest >= HELD_MS / 2:  # the first time may fetch pages of memory, which says nothing of the work
        found = held(done)
    assert found.longest < HELD_MS
    assert found.total < total_ms
