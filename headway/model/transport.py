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

from headway.model.connection import KEPT_S, Connection

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
        verify.set_alpn_protocols(["http/1.1"])
        self._verify = verify
        self._idle: dict[Origin, deque[Connection]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request that has its body in memory, and take the head of its response.

        Raises:
            httpx2.ConnectError, httpx2.ConnectTimeout: Nothing was sent.
            httpx2.LocalProtocolError: It cannot be sent at all.
            httpx2.ReadError, httpx2.RemoteProtocolError: It may have been received.
        """
        body = await request.aread()
        head = _head_of(request)
        # As it is spelled on the wire: python would spell some names of other scripts otherwise: of another host.
        host = request.url.raw_host.decode("ascii")
        origin = (request.url.scheme, host, request.url.port or _PORTS[request.url.scheme])
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
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                return await self._connected(origin)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(str(error) or "no connection in time", request=request) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error), request=request) from error

    async def _connected(self, origin: Origin) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        made = loop.create_connection(lambda: Connection(loop), host, port, happy_eyeballs_delay=HAPPY_EYEBALLS_S)
        _, connection = await made
        if scheme == "https":
            try:
                await connection.secure(self._verify, host)
            except BaseException:
                connection.abort()
                raise
        return connection

    def take_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, if it is good for one."""
        if self._closed or not connection.is_reusable:
            connection.abort()
            return
        connection.rest()
        self._idle.setdefault(origin, deque()).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_S, self._close_stale)

    def _close_stale(self) -> None:
        """Close what has rested too long; the oldest come first."""
        self._sweep = None
        for origin, idle in list(self._idle.items()):
            while idle and not idle[0].is_fresh:
                idle.popleft().abort()
            if not idle:
                del self._idle[origin]
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(KEPT_S, self._close_stale)

    async def aclose(self) -> None:
        """Close what is idle. What is in use is closed when it was read."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
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
        httpx2.LocalProtocolError: One of them would end its line, and begin a header or a request of its own.
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
