"""Keeps a paid reply: its disk space is allocated before the call, and it waits in memory when the disk fails."""

import asyncio
import contextlib
from collections.abc import Callable

from headway.agent.threads import in_thread
from headway.domain.errors import HeldBack, Shortage
from headway.domain.events import Event
from headway.trace.agent_log import AgentLog

BYTES_PER_TOKEN = 16
"""Bytes of the log for one token of a reply. The log holds the text as read, in the calls, and as sent back."""
FRAME_BYTES = 1 << 16
AGAIN_S = 2.0


def room_for_reply(max_output: int) -> int:
    """Bytes of the log that the longest reply and the notes around it may take; `max_output` is in tokens."""
    return max_output * BYTES_PER_TOKEN + FRAME_BYTES


async def kept(note: Callable[[], Event], log: AgentLog, beat: Callable[[str], None]) -> Event:
    """Wait until a reply is on disk and return its event. During a shortage of the machine the reply stays in memory.

    Args:
        note: Appends the reply to `log`.
        log: The agent's log.
        beat: Called with the reason of a wait.

    Raises:
        LeaseLost: Another holder has taken over the agent and makes the call anew.
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
