"""The number of agents that run at once in this process: fewer while the machine is short. No running agent stops."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta

from temporalio.worker import (
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
    WorkerTuner,
)

LOOK_EVERY = timedelta(seconds=1)
"""Seconds between two requests for a slot that is withheld."""


class AgentSlots(CustomSlotSupplier):
    """Gives out as many slots as are allowed at the moment.

    Args:
        allowed: Tells the number of agents that may run now; called often, so it has to be quick.
    """

    def __init__(self, allowed: Callable[[], int]) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()  # slots come back in threads of the SDK's own
        self._given = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """A slot, as soon as one is free."""
        freed = (asyncio.get_running_loop(), asyncio.Event())
        while (permit := self.try_reserve_slot(ctx)) is None:
            with self._lock:
                self._waiting.add(freed)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(freed[1].wait(), LOOK_EVERY.total_seconds())
            freed[1].clear()
        return permit

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:  # noqa: ARG002 - the SDK gives it
        """A slot if one is free."""
        allowed = self._allowed()
        with self._lock:
            if self._given >= allowed:
                return None
            self._given += 1
            return SlotPermit()

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """Nothing more is known then: a slot counts from when it is given out."""

    def release_slot(self, ctx: SlotReleaseContext) -> None:  # noqa: ARG002 - the same
        """A slot is free again."""
        with self._lock:
            self._given -= 1
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # its loop is closed: the worker stops
                loop.call_soon_threadsafe(event.set)


def agent_tuner(allowed: Callable[[], int]) -> WorkerTuner:
    """A tuner for a worker that runs agents and nothing else."""
    one = FixedSizeSlotSupplier(1)
    return WorkerTuner.create_composite(
        workflow_supplier=one,
        activity_supplier=AgentSlots(allowed),
        local_activity_supplier=one,
        nexus_supplier=one,
    )
