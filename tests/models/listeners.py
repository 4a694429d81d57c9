"""A server that says what a test tells it to, byte by byte, on a real socket."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Counts its connections; `ended` is set when one of them was closed."""

    def __init__(self, conversation: Talk) -> None:
        self.conversation = conversation
        self.port = 0
        self.connections = 0
        self.open = 0
        self.ended = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self.conversation(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.ended.set()
            writer.transport.abort()


@asynccontextmanager
async def listening(conversation: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    listener = Listener(conversation)
    server = await asyncio.start_server(listener.met, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


async def request_on(reader: asyncio.StreamReader) -> bytes:
    """The next request, whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def answering(*answers: bytes) -> Talk:
    """Answers one request after the other on each connection, and closes it."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request_on(reader)
            writer.write(answer)
            await writer.drain()

    return conversation


def flooding(start: bytes, more: bytes) -> Talk:
    """Answers with `start` and then `more`, again and again."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(start)
        while True:
            writer.write(more)
            await writer.drain()

    return conversation


def http(body: Any, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer; bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"content-length: {len(content)}", *headers))
    return f"{head}\r\n".encode() + content
