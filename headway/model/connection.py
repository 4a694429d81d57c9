"""One connection to a server: an exchange at a time over HTTP/1.1, parsed by `httptools`."""

import asyncio
import select
import ssl
from collections import deque

import httptools
import httpx2

KEPT_S = 4.0
"""An idle connection is used again for so long: shorter than the 5 s after which uvicorn, and so vLLM, closes it. A
request that meets a closing connection is lost, and counts as paid."""

AHEAD_BYTES = 1 << 20
"""Of a response that nobody reads no more than this is taken in."""

SILENT_BYTES = 100_000
"""More than this of heads, trailers and the like, without a byte of a body between, is no answer (h11 has the same)."""

_FINAL = 200
"""Below it a status only announces another response."""

_LENGTHS = {b"content-length", b"transfer-encoding"}
_REFUSED = 400
"""From it on a status says that the request was not taken."""


class Reply:
    """The head of a response."""

    __slots__ = ("headers", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []


class Connection(asyncio.Protocol):
    """One connection: an exchange at a time, and whether it is good for another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._wire: asyncio.Transport | None = None
        self._idle_since = loop.time()
        self._lost = False
        self._paused = False
        self._news: asyncio.Future[None] | None = None
        self._begin()
        self.complete = True

    def _begin(self) -> None:
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # What gateways send that is wrong in form and clear in meaning: a call that was paid for is not to be lost over
        # a blank.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True,
            lenient_spaces_after_chunk_size=True,
            lenient_optional_cr_before_lf=True,
        )
        self._silent = 0
        self._reply = Reply()
        self._has_head = False
        self.complete = False
        self._keep = False
        self._pieces: deque[bytes] = deque()
        self._ahead = 0
        self._failure: httpx2.TransportError | None = None

    # What the pool asks

    async def secure(self, verify: ssl.SSLContext, name: str) -> None:
        """Go on over TLS. By itself, because the transport for TLS does not say what the one below has not sent yet."""
        assert self._wire is not None
        self._transport = await self._loop.start_tls(self._wire, self, verify, server_hostname=name)
        if self._transport is None:
            raise ConnectionAbortedError("the connection was closed in the handshake")

    @property
    def is_reusable(self) -> bool:
        """Whether the last exchange is over and left the connection open and clean."""
        assert self._wire is not None
        assert self._transport is not None
        # A server may answer before it has read all, most of all when it refuses; the rest of that request would be
        # taken for the next one.
        sent = not (self._transport.get_write_buffer_size() or self._wire.get_write_buffer_size())
        accepted = self._reply.status < _REFUSED
        clean = not (self._lost or self._paused or self._failure)
        return self.complete and self._keep and sent and accepted and clean

    @property
    def is_fresh(self) -> bool:
        """Whether it may be used again: the server can hardly have closed it, nor said anything unasked."""
        assert self._transport is not None
        if self._lost or self._transport.is_closing() or self._loop.time() - self._idle_since >= KEPT_S:
            return False
        # What the event loop has not come round to: the end, mostly.
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def rest(self) -> None:
        """Nothing is asked until the next request."""
        self._idle_since = self._loop.time()

    def abort(self) -> None:
        """Close it at once; what was not sent or read is lost."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    # An exchange

    async def ask(self, head: bytes, body: bytes) -> Reply:
        """Send a request and wait for the head of its response.

        Raises:
            httpx2.ConnectError: The connection was lost before anything was sent.
        """
        assert self._transport is not None
        if self._lost or self._transport.is_closing():
            raise httpx2.ConnectError("the connection was closed before the request")
        self._begin()
        self._transport.write(head)
        if body:
            self._transport.write(body)
        while not self._has_head:
            await self._heard()
        return self._reply

    async def piece(self) -> bytes:
        """What came of the body meanwhile; empty at its end."""
        while not self._pieces:
            if self.complete:
                return b""
            await self._heard()
        piece = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._ahead = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def _heard(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _fail(self, failure: httpx2.TransportError) -> None:
        if self._failure is None:
            self._failure = failure
        self._wake()

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._wire = transport

    def data_received(self, data: bytes) -> None:
        """The server says something."""
        assert self._transport is not None
        if self.complete or self._parser is None:  # nobody asked
            self.abort()
            return
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx2.RemoteProtocolError(f"not HTTP: {error}"))
            self.abort()
            return
        if self._silent > SILENT_BYTES:
            self._fail(httpx2.RemoteProtocolError("no end of headers"))
            self.abort()
            return
        if self._ahead > AHEAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The server says no more."""
        self.connection_lost(None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed."""
        self._lost = True
        self._parser = None  # it holds us, as we hold it
        if self.complete:
            return
        if error is None and self._has_head and not self._lengths:
            self.complete = True
            self._wake()
        else:
            self._fail(httpx2.ReadError(f"the connection was lost: {error or 'closed by the server'}"))

    @property
    def _lengths(self) -> set[bytes]:
        """The headers that say how long the body is; none where it ends with the connection."""
        return _LENGTHS & {name.lower() for name, _ in self._reply.headers}

    # What the parser tells

    def on_status(self, reason: bytes) -> None:
        """A part of the words behind the status."""
        self._reply.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        if not self._has_head:  # the trailers of a chunked body are no headers
            self._reply.headers.append((name, value.rstrip()))

    def on_headers_complete(self) -> None:
        """The head is there."""
        assert self._parser is not None
        self._reply.status = self._parser.get_status_code()
        self._has_head = self._reply.status >= _FINAL
        if self._has_head:
            self._silent = 0

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, without the marks of chunks."""
        self._pieces.append(piece)
        self._ahead += len(piece)
        self._silent = 0

    def on_message_complete(self) -> None:
        """The response is whole, or was one that only announces another."""
        assert self._parser is not None
        if self._has_head:
            self._silent = 0
            # With both, one of them is wrong: what comes next may be a rest of this (RFC 9112, section 6.3).
            self._keep = self._parser.should_keep_alive() and self._lengths != _LENGTHS
            self.complete = True
        else:
            self._reply = Reply()

    def on_message_begin(self) -> None:
        """A response begins; a second one, that nobody asked for, spoils the connection.

        Raises:
            httptools.HttpParserError: Through the parser.
        """
        if self.complete:
            raise ValueError("more was answered than asked")
