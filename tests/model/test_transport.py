"""Requests and responses over real sockets: what is kept, what is refused, and whether a request had left."""

import asyncio
import gzip
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from headway.model import connection, transport
from headway.model.connection import AHEAD_BYTES
from headway.model.transport import Transport

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Listener:
    """A server that says what a test tells it to, byte by byte."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.port = 0
        self.connections = 0
        self.ended = asyncio.Event()

    async def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.transport.abort()


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    listener = Listener(talk)
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

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request_on(reader)
            writer.write(answer)
            await writer.drain()

    return talk


async def for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await request_on(reader)
        writer.write(OK)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=Transport(httpx2.create_ssl_context()), timeout=10) as client:
        yield client


async def post(client: httpx2.AsyncClient, at: Listener, content: bytes = b"{}") -> httpx2.Response:
    return await client.post(f"http://127.0.0.1:{at.port}/v1/chat", content=content)


async def test_requests_one_after_the_other_share_a_connection(client: httpx2.AsyncClient) -> None:
    async with listening(for_ever) as at:
        assert [(await post(client, at)).text for _ in range(5)] == ["ok"] * 5
        assert at.connections == 1


async def test_what_is_asked_arrives_as_it_was_asked(client: httpx2.AsyncClient) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_on(reader))
        writer.write(OK)

    async with listening(talk) as at:
        await client.post(f"http://127.0.0.1:{at.port}/a%20b?c=d", content=b"\0\r\n\r\n", headers={"X-One": "1"})
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a%20b?c=d HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{at.port}".encode() in head.lower().split(b"\r\n")
    assert b"x-one: 1" in head.lower().split(b"\r\n")
    assert body == b"\0\r\n\r\n"


async def test_hundreds_at_once_each_get_their_own_answer(client: httpx2.AsyncClient) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            said = (await request_on(reader)).partition(b"\r\n\r\n")[2]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))

    async with listening(echo) as at:
        for _ in range(2):
            replies = await asyncio.gather(*(post(client, at, b"agent %d" % number) for number in range(300)))
            assert [reply.content for reply in replies] == [b"agent %d" % number for number in range(300)]
        assert at.connections == 300


async def test_a_connection_that_has_rested_too_long_is_not_used_again(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEPT_S", 0.0)
    async with listening(for_ever) as at:
        assert [(await post(client, at)).text for _ in range(3)] == ["ok"] * 3
        assert at.connections == 3


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(client: httpx2.AsyncClient) -> None:
    async with listening(answering(OK)) as at:
        for number in range(20):
            at.ended.clear()
            assert (await post(client, at)).text == "ok"
            if number % 2:  # else the event loop has not heard of it when the next one is sent
                await at.ended.wait()
        assert at.connections == 20


CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
BODIES = {
    "length": (OK, b"ok", 1),
    "chunks and trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nx-late: 1\r\n\r\n",
        b"ok",
        1,
    ),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", 1),
    "announced first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx-early: 1\r\n\r\n" + OK, b"ok", 1),
    "gzip": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
        % (len(gzip.compress(b"ok")), gzip.compress(b"ok")),
        b"ok",
        1,
    ),
    "to be closed": (CLOSING, b"ok", 2),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", 2),
    "more than was asked": (OK + OK, b"ok", 2),
    "closed and more": (CLOSING + OK, b"ok", 2),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
        2,
    ),
    "a blank behind a chunk's size": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n",
        b"ok",
        1,
    ),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", b"ok", 1),
}


@pytest.mark.parametrize("pieces", [1, 1000], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("body", BODIES)
async def test_bodies_of_every_kind(client: httpx2.AsyncClient, body: str, pieces: int) -> None:
    answer, content, connections = BODIES[body]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_on(reader)
            for at in range(0, len(answer), max(1, len(answer) // pieces)):
                writer.write(answer[at : at + max(1, len(answer) // pieces)])
                await asyncio.sleep(0)

    async with listening(talk) as at:
        first, second = [await post(client, at) for _ in range(2)]
        assert (first.content, second.content) == (content, content)
        assert {"x-early", "x-late"}.isdisjoint(first.headers)
        assert at.connections == connections


async def test_a_body_without_a_length_ends_with_its_connection(client: httpx2.AsyncClient) -> None:
    async with listening(answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)) as at:
        assert (await post(client, at)).content == b"x" * 100_000


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-many: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-one: ", b"x" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-late: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;", b"x" * 1000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["headers", "a header", "a reason", "trailers", "a chunk's extension", "announcements"],
)
async def test_what_never_comes_to_a_body_is_cut_off(client: httpx2.AsyncClient, start: bytes, more: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(start)
        while True:
            writer.write(more * 20)
            await writer.drain()

    async with listening(talk) as at:
        with pytest.raises(httpx2.RemoteProtocolError, match="no end of headers"):
            await post(client, at)
        await asyncio.wait_for(at.ended.wait(), 10)


async def test_idle_connections_are_closed_by_themselves(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEPT_S", 0.05)
    monkeypatch.setattr(transport, "KEPT_S", 0.05)
    async with listening(for_ever) as at:
        await post(client, at)
        await asyncio.wait_for(at.ended.wait(), 10)


async def test_what_is_in_flight_when_all_is_closed_is_closed_when_it_was_read() -> None:
    ours = Transport(httpx2.create_ssl_context())
    async with listening(for_ever) as at:
        response = await ours.handle_async_request(httpx2.Request("GET", f"http://127.0.0.1:{at.port}/"))
        await ours.aclose()
        assert await response.aread() == b"ok"
        await asyncio.wait_for(at.ended.wait(), 10)


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 64])
async def test_a_host_without_address_is_a_failed_connection(client: httpx2.AsyncClient, host: str) -> None:
    with pytest.raises(httpx2.ConnectError):
        await client.get(f"http://{host}/")


async def test_a_name_of_another_script_is_looked_up_as_it_is_spelled(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    async def looked_up(host: object, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise OSError("no such host")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
    with pytest.raises(httpx2.ConnectError):
        await client.get("https://xn--strae-oqa.invalid/")
    assert asked == ["xn--strae-oqa.invalid"]


async def test_where_nobody_listens_nothing_was_sent(client: httpx2.AsyncClient) -> None:
    async with listening(for_ever) as at:
        pass
    with pytest.raises(httpx2.ConnectError):
        await post(client, at)


async def test_who_does_not_shake_hands_in_time_was_sent_nothing(client: httpx2.AsyncClient) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as at:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{at.port}/", timeout=httpx2.Timeout(10, connect=0.1))


LOST = {
    "before the head": (b"", httpx2.ReadError),
    "in the head": (b"HTTP/1.1 200 OK\r\ncontent-le", httpx2.ReadError),
    "in the body": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", httpx2.ReadError),
    "in a chunk": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok", httpx2.ReadError),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", httpx2.RemoteProtocolError),
    "a broken chunk": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n",
        httpx2.RemoteProtocolError,
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        httpx2.RemoteProtocolError,
    ),
}


@pytest.mark.parametrize("where", LOST)
async def test_a_response_that_breaks_off_may_have_been_paid_for(client: httpx2.AsyncClient, where: str) -> None:
    answer, error = LOST[where]
    async with listening(answering(answer)) as at:
        with pytest.raises(error) as raised:
            await post(client, at)
        assert not isinstance(raised.value, httpx2.ConnectError | httpx2.ConnectTimeout)


async def test_a_connection_that_is_lost_between_two_requests_is_lost_on_the_second(client: httpx2.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(OK)
        await request_on(reader)

    async with listening(talk) as at:
        await post(client, at)
        with pytest.raises(httpx2.ReadError):
            await post(client, at)


async def test_a_cancelled_exchange_closes_its_connection(client: httpx2.AsyncClient) -> None:
    asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        asked.set()
        await reader.read()

    async with listening(talk) as at:
        asking = asyncio.create_task(post(client, at))
        await asked.wait()
        asking.cancel()
        await asyncio.wait_for(at.ended.wait(), 10)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_response_that_is_read_no_further_closes_its_connection(client: httpx2.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        await reader.read()

    async with listening(talk) as at:
        async with client.stream("POST", f"http://127.0.0.1:{at.port}/", content=b"") as response:
            assert await anext(response.aiter_bytes()) == b"ok"
        await asyncio.wait_for(at.ended.wait(), 10)


async def test_of_a_response_that_nobody_reads_little_is_taken_in(client: httpx2.AsyncClient) -> None:
    size, sent = 60_000_000, 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_on(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(60):
            writer.write(b"x" * (size // 60))
            await writer.drain()
            sent += 1
        await request_on(reader)
        writer.write(OK)

    async with listening(talk) as at:
        async with client.stream("POST", f"http://127.0.0.1:{at.port}/", content=b"") as response:
            stopped = -1
            while sent != stopped:  # until the server gets rid of no more
                stopped = sent
                await asyncio.sleep(0.2)
            assert sent < 30, "the kernel's buffers hold some of it, but not half"
            assert len(await response.aread()) == size
        assert (await post(client, at)).text == "ok"
        assert at.connections == 1
    assert size > 10 * AHEAD_BYTES


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
async def test_a_header_with_a_line_end_in_it_never_leaves(client: httpx2.AsyncClient, end: str) -> None:
    async with listening(for_ever) as at:
        with pytest.raises(httpx2.LocalProtocolError):
            await client.post(f"http://127.0.0.1:{at.port}/", headers={"Authorization": f"Bearer x{end}Evil: 1"})
        assert at.connections == 0


async def test_another_scheme_is_refused(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that only its own file vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    path = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(tmp_path / "only.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "only.pem").read_text())
    return path


async def test_a_server_is_believed_only_with_a_certificate(client: httpx2.AsyncClient, certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with listening(for_ever, tls) as at:
        url = f"https://127.0.0.1:{at.port}/"
        with pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
            await client.post(url)
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with httpx2.AsyncClient(transport=Transport(trusting), timeout=10) as other:
            assert [(await other.post(url, content=b"x" * 500_000)).text for _ in range(3)] == ["ok"] * 3
        assert at.connections <= 2


@pytest.mark.parametrize("status", [200, 413])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_answer_that_comes_before_all_was_read_is_heard_and_its_connection_left(
    certificate: Path, scheme: str, status: int
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Early\r\ncontent-length: 0\r\n\r\n" % status)
        await at.ended.wait()

    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        listening(talk, serving if scheme == "https" else None) as at,
        httpx2.AsyncClient(transport=Transport(trusting), timeout=10) as client,
    ):
        url = f"{scheme}://127.0.0.1:{at.port}/"
        assert (await client.post(url, content=b"x" * 50_000_000)).status_code == status
        assert (await client.post(url, content=b"x" * 50_000_000)).status_code == status
        assert at.connections == 2
        at.ended.set()
