"""Bounds on the answers of model servers, enforced below the `openai` client, so that all its ways of reading obey.

A hostile or broken server, or an attacker on a plain http connection, chooses the length of an answer and what it
unpacks to. Without bounds the memory of the process would hold all of it, and hundreds of agents work in that process.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx2

MAX_REPLY_BYTES = 32 << 20
"""Most bytes of one reply, whole or in pieces. A file of 1 MB that a model writes is less than 4 MB in any API."""

MAX_ERROR_BYTES = 64 << 10
"""Bytes that are read of an answer with an error status; the rest is cut. The client parses them with Python's own
JSON module, which takes 30 times their size in memory."""

LEAST_PIECE_BYTES = 160
"""Least size that a piece of a body or an event counts as, because each costs 30 us. Events of real streams are
larger."""

PIECES_A_TURN = 64
"""Pieces, events or lines after which the reader yields to other agents. It would never yield otherwise while the next
piece has already arrived."""

_IDENTITY = {"", "identity"}
_REFUSED = 300


class TooLarge(httpx2.RequestError):
    """A reply that goes on beyond `MAX_REPLY_BYTES`."""


class Encoded(httpx2.RequestError):
    """A body that is compressed, though `identity` was asked for. It is not unpacked: 1 KB can become 700 MB."""


async def bound(response: httpx2.Response) -> None:
    """Bound a response whose headers have arrived. A hook of the HTTP client.

    Raises:
        Encoded: Its body is compressed.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _IDENTITY:
        raise Encoded(f"the body is encoded as {encoding[:40]!r}", request=response.request)
    # The charset that the server names could select a codec of Python that takes quadratic time.
    response.encoding = "utf-8"
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    is_error = response.status_code >= _REFUSED
    response.stream = _Cut(response.stream) if is_error else _Bounded(response.stream, response.request)


class _Bounded(httpx2.AsyncByteStream):
    """A body that raises `TooLarge` at its bound."""

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
    """A body that ends at its bound."""

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
