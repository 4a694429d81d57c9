"""The life of one worker process: it polls until it is asked to end."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from temporalio.worker import Worker

from headway.host.output import show
from headway.system.signals import on_end_asked

LEAST_THREADS = 32


def size_executor(agents: int) -> None:
    """Give the running event loop threads for so many agents."""
    threads = ThreadPoolExecutor(max_workers=max(LEAST_THREADS, 2 * agents))
    asyncio.get_running_loop().set_default_executor(threads)


async def poll_until_asked(worker: Worker, role: str, at_work: Callable[[], None]) -> None:
    """Run a worker until a signal asks the process to end; then running work ends, or is resumed elsewhere.

    `at_work` is called once it polls.
    """
    # Everything that is loaded by now lives as long as the process; the garbage collector need not look at it again.
    gc.freeze()
    stop = asyncio.Event()
    on_end_asked(asyncio.get_running_loop(), stop.set)
    async with worker:
        show(f"{role}: ready")
        at_work()
        await stop.wait()
