"""A paid reply is kept: it has its room before it is bought, and it waits in memory where a disk broke down."""

import asyncio
import contextlib
from collections.abc import Callable

from headway.agent.threads import in_thread
from headway.domain.errors import HeldBack, Shortage
from headway.domain.events import Event
from headway.trace.agent_log import AgentLog

BYTES_PER_TOKEN = 16
"""Of a log, for one token of a reply: its text stands there as it was read, in its calls, and as it was sent."""
FRAME_BYTES = 1 << 16
AGAIN_S = 2.0


def room_for_reply(max_output: int) -> int:
    """Bytes of a log that the longest reply and what is noted around it may take; `max_output` in tokens."""
    return max_output * BYTES_PER_TOKEN + FRAME_BYTES


async def kept(note: Callable[[], Event], log: AgentLog, beat: Callable[[str], None]) -> Event:
    """The event of a reply, once it is on disk. While the machine lacks what that takes, the reply waits in memory.

    Args:
        note: Appends the reply to `log`.
        log: Of the agent.
        beat: Told what is waited for.

    Raises:
        LeaseLost: Another holder makes the call anew.
    """
    noted: list[Event] = []

    def keep() -> Event:
        if not noted:
            noted.append(note())
        log.sync()
        return noted[0]

    while True:
        try:
            return await in_thread(keep)
        except Shortage as short:
            with contextlib.suppress(HeldBack):  # a pause is heeded at the next step, when the reply is safe
                beat(f"holds a paid reply: {short}")
            await asyncio.sleep(AGAIN_S)
