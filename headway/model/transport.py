"""Requests out, responses in: HTTP/1.1 on connections that are kept, for the `openai` client.

In the place of `httpx`'s own transport, whose pool and locks were a third of the CPU of an agent's step. What matters
more: of every failure it is certain whether a request had begun to leave. Before that it is a `ConnectError` or a
`ConnectTimeout`, and nothing can have been paid for; afterwards it is a `ReadError` or a `RemoteProtocolError`.

How long an exchange may take is the caller's business: a cancelled one closes its connection. Through a proxy leads
`httpx`'s transport; see `Exchange`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator

import httpx2

from headway.model.connection import Connection

HAPPY_EYEBALLS_S = 0.25
"""Then the next address of a host is tried too (RFC 8305, section 5)."""

Origin = tuple[str, str, int]
"""Scheme, host and port."""


class Transport(httpx2.AsyncBaseTransport):
    """The connections of one process and event loop.

    Args:
        verify: What servers' certificates are checked with.
    """

    def __init__(self, verify: ssl.SSLContext) -> None:
        self._verify = verify
        self._idle: dict[Origin, deque[Connection]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request that has its body in memory, and take the head of its response.

        Raises:
            httpx2.ConnectError, httpx2.ConnectTimeout: Nothing was sent.
            httpx2.LocalProtocolError: It cannot be sent at all.
            httpx2.ReadError, httpx2.RemoteProtocolError: It may have been received.
        """
        body = await request.aread()
        head = _head_of(request)
        origin = (request.url.scheme, request.url.host, request.url.port or _PORTS[request.url.scheme])
        connection = self._kept(origin) or await self._opened(origin, request)
        try:
            reply = await connection.ask(head, body)
        except BaseException:
            connection.abort()
            raise
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": reply.reason}
        return httpx2.Response(
            reply.status, headers=reply.headers, stream=_Body(self, origin, connection), extensions=extensions
        )

    def _kept(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_fresh:
                return connection
            connection.abort()
        return None

    async def _opened(self, origin: Origin, request: httpx2.Request) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        verify, name = (self._verify, host) if scheme == "https" else (None, None)
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    host,
                    port,
                    ssl=verify,
                    server_hostname=name,
                    happy_eyeballs_delay=HAPPY_EYEBALLS_S,
                )
                return connection
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(str(error) or "no connection in time", request=request) from error
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=request) from error

    def take_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, if it is good for one."""
        idle = self._idle.setdefault(origin, deque())
        while idle and not idle[0].is_fresh:
            idle.popleft().abort()
        if connection.is_reusable:
            connection.rest()
            idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        """Close what is idle. What is in use is closed by who reads it."""
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()


class _Body(httpx2.AsyncByteStream):
    """A response's body as it comes. Read or not, closing it settles what becomes of its connection."""

    def __init__(self, transport: Transport, origin: Origin, connection: Connection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection is not None and (piece := await self._connection.piece()):
            yield piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.take_back(self._origin, connection)


_PORTS = {"http": 80, "https": 443}
_LINE_ENDS = (b"\r", b"\n", b"\0")


def _head_of(request: httpx2.Request) -> bytes:
    """Request line and headers.

    Raises:
        httpx2.LocalProtocolError: One of them would end its line, as a key does that was pasted with a newline.
        httpx2.UnsupportedProtocol: The address is of another scheme than HTTP.
    """
    if request.url.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol(f"not HTTP: {request.url.scheme}", request=request)
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    together = b"".join(lines)
    if any(end in together for end in _LINE_ENDS):
        raise httpx2.LocalProtocolError("a header has a line end in it", request=request)
    return b"\r\n".join([*lines, b"", b""])
