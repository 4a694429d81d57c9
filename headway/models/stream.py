"""Answers that come in pieces. Only the whole of one is used; the gain is that a stall shows."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2

from headway.domain.errors import TransientError
from headway.models import reply_bounds
from headway.models.reply_bounds import LEAST_PIECE_BYTES, PIECES_A_TURN, TooLarge

DONE = b"[DONE]"
EVENT_STREAM = "text/event-stream"

BYTES_A_TURN = 64 << 10
"""Bytes of events after which the reader yields to other agents: to parse them takes time as well."""

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")

Take = Callable[[bytes], bool]
"""Takes the data of one event; True when nothing more is needed."""


def is_stream(response: httpx2.Response) -> bool:
    """True if it comes in pieces. A server that streams nothing answers in one piece, and so do all refusals."""
    return bool(response.headers.get("content-type", "").lower().startswith(EVENT_STREAM))


def holds_events(content: bytes) -> bool:
    """True if a body is a stream that was sent as another type. No JSON and no page begins like this."""
    return content[:64].lstrip().startswith(_FIELDS)


async def read_events(response: httpx2.Response, take: Take, stall_s: float, address: str) -> None:
    """Hand each event's data to `take` until it has enough, or the answer ends.

    Lines that only keep the connection open count for nothing: a server may send them while its model hangs.

    Raises:
        TransientError: No event for `stall_s` seconds, or the connection broke off.
        TooLarge: The answer goes on beyond its bound.
        Unreadable: By `take`.
    """
    clock = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(stall_s) as limit:
            async for data in _events(response):
                limit.reschedule(clock.time() + stall_s)
                if data and (data == DONE or take(data)):
                    return
            return
    except TimeoutError:
        pass
    finally:
        await response.aclose()
    raise TransientError(f"{address}: the answer stalled: nothing for {stall_s:g} s", cut_off=True)


async def _events(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The data of each event, the last one also without an end."""
    event: list[bytes] = []
    left, unread = reply_bounds.MAX_REPLY_BYTES, 0
    async for line in _lines(response.aiter_bytes()):
        if line.startswith(b"data:"):
            left -= max(len(line), LEAST_PIECE_BYTES)
            if left < 0:
                raise TooLarge("the reply has too many events", request=response.request)
            event.append(line[5:].strip())
            unread += len(line)
        elif line.startswith(b"{"):
            # No field: some gateways put an error between the events as it is.
            yield line
        elif not line and event:
            yield b"\n".join(event)
            event = []
            if unread > BYTES_A_TURN:
                unread = 0
                await asyncio.sleep(0)
    yield b"\n".join(event)


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines without their ends, the last one also without an end. Each byte is looked at and copied once or twice."""
    begun: list[bytes] = []
    count = 0
    async for piece in pieces:
        first, *lines = piece.split(b"\n")
        begun.append(first)
        if not lines:
            continue
        yield b"".join(begun).rstrip(b"\r")
        for line in lines[:-1]:
            yield line.rstrip(b"\r")
            count += 1
            if count % PIECES_A_TURN == 0:
                await asyncio.sleep(0)
        begun = [lines[-1]]
    if rest := b"".join(begun).rstrip(b"\r"):
        yield rest
