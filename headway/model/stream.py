"""Answers that come in pieces. Only the whole of one is used; what is gained is that a stall is heard of."""

import asyncio
from collections.abc import Callable

import httpx2

from headway.domain.errors import TransientError

DONE = b"[DONE]"
EVENT_STREAM = "text/event-stream"

Take = Callable[[bytes], bool]
"""Takes the data of one event; True when nothing more is needed."""


def is_stream(response: httpx2.Response) -> bool:
    """Whether it comes in pieces: a server that streams nothing answers in one, and refusals always do."""
    return bool(response.headers.get("content-type", "").lower().startswith(EVENT_STREAM))


async def read_events(response: httpx2.Response, take: Take, stall_s: float, address: str) -> None:
    """Hand each event's data to `take` until it has enough, or the answer ends.

    Lines that only keep the connection open count for nothing: a server may send them while its model hangs.

    Raises:
        TransientError: No event for `stall_s` seconds, or the connection broke off.
    """
    clock = asyncio.get_running_loop()
    failure = f"{address}: the answer stalled: nothing for {stall_s:g} s"
    try:
        async with asyncio.timeout(stall_s) as limit:
            rest, event = b"", b""
            async for piece in response.aiter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    text = line.rstrip(b"\r")
                    if text.startswith(b"data:"):
                        event += text[5:].strip()
                        limit.reschedule(clock.time() + stall_s)
                    elif not text and event:
                        if event == DONE or take(event):
                            return
                        event = b""
            if event and event != DONE:
                take(event)
            return
    except TimeoutError:
        pass
    except httpx2.HTTPError as error:
        failure = f"{address}: the answer broke off: {type(error).__name__}"
    finally:
        await response.aclose()
    # Outside of the handlers, or the client's exception would come along with what it repeats.
    raise TransientError(failure, cut_off=True)
