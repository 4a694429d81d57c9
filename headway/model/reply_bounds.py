"""Bounds on what a model server may answer, enforced below the `openai` client, whichever way it reads.

A hostile or broken server, or anybody on a plain http line, decides how long an answer is and what it unpacks to. All
of it would be held in the memory of the process in which hundreds of agents work.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx2

MAX_REPLY_BYTES = 32 << 20
"""Most bytes of one reply, whole or in pieces. A file of 1 MB that a model writes is less than 4 MB in any API."""

MAX_ERROR_BYTES = 64 << 10
"""Bytes that are read of an answer with an error status; the rest is cut. The client parses them with Python's JSON,
which takes 30 times the memory."""

LEAST_PIECE_BYTES = 160
"""A smaller piece of a body counts as this much, and so does an event: each costs 30 us. The events of real streams are
larger."""

PIECES_A_TURN = 64
"""Pieces, events or lines after which other agents have their turn: those that have arrived are read without a wait."""

_IDENTITY = {"", "identity"}
_REFUSED = 300


class TooLarge(httpx2.RequestError):
    """A reply that goes on beyond `MAX_REPLY_BYTES`."""


class Encoded(httpx2.RequestError):
    """A body that is compressed, though `identity` was asked for. It is not unpacked: 1 KB can become 700 MB."""


async def bound(response: httpx2.Response) -> None:
    """Put a response that has just begun under its bounds; a hook of the HTTP client.

    Raises:
        Encoded: Its body is compressed.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _IDENTITY:
        raise Encoded(f"the body is encoded as {encoding[:40]!r}", request=response.request)
    # The server's own word for its alphabet would choose a codec of Python, some of which are quadratic.
    response.encoding = "utf-8"
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    is_error = response.status_code >= _REFUSED
    response.stream = _Cut(response.stream) if is_error else _Bounded(response.stream, response.request)


class _Bounded(httpx2.AsyncByteStream):
    """A body that raises `TooLarge` where it goes on too long."""

    def __init__(self, stream: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, count = MAX_REPLY_BYTES, 0
        async for piece in self._stream:
            left -= max(len(piece), LEAST_PIECE_BYTES)
            if left < 0:
                raise TooLarge(f"the reply is larger than {MAX_REPLY_BYTES >> 20} MB", request=self._request)
            count += 1
            if count % PIECES_A_TURN == 0:
                await asyncio.sleep(0)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Cut(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ERROR_BYTES
        async for piece in self._stream:
            yield piece[:left]
            left -= max(len(piece), LEAST_PIECE_BYTES)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
