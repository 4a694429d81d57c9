"""Keeps results that an agent cannot get again, of a paid call or a command, in memory until the disk has room.

The disk space of a reply is allocated before the call.
"""

import asyncio
import contextlib
from collections.abc import Callable

from headway.domain.errors import HeldBack, Shortage
from headway.eventlog.events.conversation import Call, Cost, LlmResponse, Tokens
from headway.eventlog.events.envelope import BodyT, Event
from headway.eventlog.store import AgentLog
from headway.models.turn import Turn
from headway.system.threads import in_thread

BYTES_PER_TOKEN = 16
"""Bytes of the log for one token of a reply. The log holds the text as read, in the calls, and as sent back."""
FRAME_BYTES = 1 << 16
AGAIN_S = 2.0


def room_for_reply(max_output: int) -> int:
    """Bytes of the log that the longest reply and the notes around it may take; `max_output` is in tokens."""
    return max_output * BYTES_PER_TOKEN + FRAME_BYTES


def event_of(reply: Turn, step: int, cost: Cost, calls: tuple[Call, ...], *, handover: bool) -> LlmResponse:
    """The event that tells of a reply.

    Args:
        reply: The reply.
        step: Number of the call.
        cost: Cost of the call.
        calls: The tool calls of the reply, as the log keeps them.
        handover: The reply is the note that closes an epoch.
    """
    return LlmResponse(
        step=step,
        stop=reply.stop,
        text=reply.text,
        calls=calls,
        items=reply.raw,
        tokens=cost.tokens,
        micro_usd=cost.micro_usd,
        usage=Tokens(**dict(reply.usage)),
        model=reply.model,
        response_id=reply.response_id,
        request_id=reply.request_id,
        waited_s=round(reply.waited_s, 3),
        conceded=reply.conceded,
        handover=handover,
    )


async def kept(
    note: Callable[[], Event[LlmResponse]], log: AgentLog, progress: Callable[[str], None]
) -> Event[LlmResponse]:
    """Wait until a reply is on disk and return its event. During a shortage of the machine the reply stays in memory.

    Args:
        note: Appends the reply to `log`.
        log: The agent's log.
        progress: Called with the reason of a wait.

    Raises:
        LeaseLost: Another holder has taken over the agent and makes the call anew.
    """
    noted: list[Event[LlmResponse]] = []

    def keep() -> Event[LlmResponse]:
        if not noted:
            noted.append(note())
        log.sync()
        return noted[0]

    while True:
        try:
            return await in_thread(keep)
        except Shortage as short:
            await _wait(progress, f"holds a paid reply: {short}")


async def noted(note: Callable[[], Event[BodyT]], progress: Callable[[str], None] = lambda _: None) -> Event[BodyT]:
    """Wait until a log takes an event that `note` appends, and return it. It is not synced: that needs a thread, which
    would cost as much again as the event.

    Raises:
        LeaseLost: Another holder has taken over the agent.
    """
    while True:
        try:
            return note()
        except Shortage as short:
            await _wait(progress, f"holds the result of a call: {short}")


async def _wait(progress: Callable[[str], None], why: str) -> None:
    with contextlib.suppress(HeldBack):  # a pause is heeded at the next step, when nothing is held
        progress(why)
    await asyncio.sleep(AGAIN_S)
