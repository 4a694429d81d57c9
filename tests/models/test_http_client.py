"""Requests and answers over real sockets: what is kept, what is refused, and whether a request may have been paid."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.models.chat_stream import ChatPieces
from headway.models.endpoint import Endpoint
from headway.models.failures import Circumstance, Refused, Unusable
from headway.models.http_client import HttpAnswer, HttpClient
from tests.models.listeners import Listener, Talk, answering, flooding, http, listening, request_on
from tests.support.waiting import until

OK = http({"ok": 1})
AT = Circumstance("the address")


async def for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await request_on(reader)
        writer.write(OK)


@asynccontextmanager
async def client_of(
    url: str, *, timeout_s: float = 30.0, streams: bool = False, **more: Any
) -> AsyncIterator[HttpClient]:
    client = HttpClient(Endpoint(base_url=url, timeout_s=timeout_s, streams=streams), **more)
    try:
        yield client
    finally:
        await client.close()


async def post(client: HttpClient, content: bytes = b"{}", agent: str = "r/root-1/1.0-aa") -> HttpAnswer:
    headers = {"X-Headway-Agent": agent, "X-Headway-Step": "1"}
    return await client.post("/chat/completions", content, headers, AT, ChatPieces())


@asynccontextmanager
async def asking(conversation: Talk, **more: Any) -> AsyncIterator[tuple[Listener, HttpClient]]:
    async with listening(conversation) as at, client_of(at.url, **more) as client:
        yield at, client


async def test_requests_of_an_agent_share_a_connection() -> None:
    async with asking(for_ever) as (at, client):
        assert [(await post(client)).body for _ in range(5)] == [{"ok": 1}] * 5
        assert at.connections == 1


async def test_agents_share_no_connection() -> None:
    async with asking(for_ever) as (at, client):
        for agent in ("a", "b", "a", "b"):
            await post(client, agent=agent)
        assert at.connections == 2


async def test_what_is_asked_arrives_as_it_was_asked_and_asks_for_no_compression() -> None:
    heard: list[bytes] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_on(reader))
        writer.write(OK)

    async with asking(conversation) as (at, client):
        await post(client, b"\0\r\n\r\n")
    head, _, body = heard[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{at.port}".encode() in lines
    assert [line for line in lines if line.startswith(b"accept-encoding")] == [b"accept-encoding: identity"]
    assert b"x-headway-agent: r/root-1/1.0-aa" in lines
    assert not [line for line in lines if line.startswith(b"x-stainless")]
    assert body == b"\0\r\n\r\n"


async def test_hundreds_at_once_each_get_their_own_answer() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            said = (await request_on(reader)).partition(b"\r\n\r\n")[2]
            writer.write(http(said))

    async with asking(echo, idle_s=600.0, timeout_s=600.0) as (at, client):
        for _ in range(2):
            asked = (post(client, b'{"n":%d}' % number, f"agent-{number}") for number in range(300))
            assert [reply.body for reply in await asyncio.gather(*asked)] == [{"n": number} for number in range(300)]
        assert at.connections == 300


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_agent_that_leaves_leaves_no_descriptor() -> None:
    async with asking(for_ever) as (at, client):
        await post(client, agent="first")
        before = descriptors()
        for number in range(20):
            await post(client, agent=f"agent-{number}")
            assert descriptors() > before
            await client.leave(f"agent-{number}")
            await until(lambda: descriptors() == before and at.open == 1)
        await client.leave("nobody")
    await until(lambda: at.open == 0)


async def test_idle_connections_are_closed_by_themselves() -> None:
    async with asking(for_ever, idle_s=0.05) as (at, client):
        await asyncio.gather(*(post(client, agent=f"agent-{number}") for number in range(30)))
        assert at.connections == 30
        await until(lambda: at.open == 0)
        assert (await post(client)).body == {"ok": 1}


async def test_a_connection_that_has_rested_too_long_is_not_used_again() -> None:
    async with asking(for_ever, idle_s=0.0) as (at, client):
        for _ in range(3):
            await post(client)
            await asyncio.sleep(0.01)
        assert at.connections == 3


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again() -> None:
    async with asking(answering(OK)) as (at, client):
        for number in range(20):
            at.ended.clear()
            assert (await post(client)).body == {"ok": 1}
            if number % 2:  # else the event loop has not heard of it when the next one is sent
                await at.ended.wait()
        assert at.connections == 20


async def test_what_is_in_flight_when_all_is_closed_is_closed_when_it_was_read() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        asked.set()
        await go.wait()
        writer.write(OK)
        await reader.read()

    async with listening(conversation) as at:
        client = HttpClient(Endpoint(base_url=at.url))
        reply = asyncio.create_task(post(client))
        await asked.wait()
        await client.close()
        go.set()
        assert (await reply).body == {"ok": 1}
        await asyncio.wait_for(at.ended.wait(), 10)


CLOSING = http({"ok": 1}, "connection: close")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BODIES = {
    "length": (OK, 1),
    "chunks and trailers": (CHUNKED + b'4;x=y\r\n{"ok\r\n4\r\n":1}\r\n0\r\nx-late: 1\r\n\r\n', 1),
    "announced first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx-early: 1\r\n\r\n" + OK, 1),
    "identity": (http({"ok": 1}, "content-encoding: identity"), 1),
    "to be closed": (CLOSING, 2),
    "HTTP/1.0": (OK.replace(b"1.1", b"1.0"), 2),
    "closed and more": (CLOSING + OK, 2),
    "a blank behind a chunk's size": (CHUNKED + b'8  \r\n{"ok":1}\r\n0\r\n\r\n', 1),
    "bare line feeds": (b'HTTP/1.1 200 OK\ncontent-length: 8\n\n{"ok":1}', 1),
}


@pytest.mark.parametrize("pieces", [1, 1000], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("body", BODIES)
async def test_bodies_of_every_kind(body: str, pieces: int) -> None:
    answer, connections = BODIES[body]

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_on(reader)
            for at in range(0, len(answer), max(1, len(answer) // pieces)):
                writer.write(answer[at : at + max(1, len(answer) // pieces)])
                await asyncio.sleep(0)

    async with asking(conversation) as (at, client):
        first, second = [await post(client) for _ in range(2)]
        assert (first.body, second.body) == ({"ok": 1}, {"ok": 1})
        assert {"x-early", "x-late"}.isdisjoint(first.headers)
        assert at.connections == connections


async def test_what_comes_unasked_on_an_idle_connection_is_not_the_next_answer() -> None:
    answered, told = asyncio.Event(), asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(OK)
        await answered.wait()
        writer.write(http({"ok": 2}, status="408 Request Timeout"))
        await writer.drain()
        told.set()
        await reader.read()

    async with asking(conversation) as (at, client):
        await post(client)
        answered.set()
        await told.wait()
        assert (await post(client)).body == {"ok": 1}
        assert at.connections == 2


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with asking(answering(b'HTTP/1.1 200 OK\r\n\r\n{"ok":"' + b"x" * 100_000 + b'"}')) as (_, client):
        assert (await post(client)).body == {"ok": "x" * 100_000}


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-many: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-one: ", b"x" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (CHUNKED + b"0\r\n", b"x-late: 1\r\n"),
        (CHUNKED + b"2;", b"x" * 1000),
    ],
    ids=["headers", "a header", "a reason", "trailers", "a chunk's extension"],
)
async def test_what_never_comes_to_a_body_is_cut_off(start: bytes, more: bytes) -> None:
    async with asking(flooding(start, more * 20)) as (at, client):
        with pytest.raises(Unusable, match="breaks the rules of HTTP"):
            await post(client)
        await asyncio.wait_for(at.ended.wait(), 10)


@pytest.mark.parametrize("start", [b"", CHUNKED + b"2\r\n{ \r\n"], ids=["announcements", "blanks"])
async def test_what_goes_on_for_ever_ends_after_the_time_allowed(start: bytes) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(start)
        while True:
            writer.write(b"1\r\n \r\n" if start else b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with asking(conversation, timeout_s=0.5) as (at, client):
        with pytest.raises(TransientError, match="no answer in time") as raised:
            await post(client)
        assert raised.value.cut_off
        await asyncio.wait_for(at.ended.wait(), 10)


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 64])
async def test_a_host_without_address_is_a_failed_connection(host: str) -> None:
    async with client_of(f"http://{host}/v1") as client:
        with pytest.raises(Refused, match="cannot be reached") as raised:
            await post(client)
    assert raised.value.kind == "unreachable"
    assert not raised.value.cut_off


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with listening(for_ever) as at:
        pass
    async with client_of(at.url) as client:
        with pytest.raises(Refused, match="cannot be reached") as raised:
            await post(client)
    assert not raised.value.cut_off


async def test_a_server_that_does_not_shake_hands_in_time_was_sent_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as at, client_of(f"https://127.0.0.1:{at.port}/v1", connect_s=0.1) as client:
        with pytest.raises(TransientError, match="no answer in time") as raised:
            await post(client)
    assert not raised.value.cut_off


LOST: dict[str, tuple[bytes, type[TransientError], str]] = {
    "before the head": (b"", TransientError, "broke off"),
    "in the head": (b"HTTP/1.1 200 OK\r\ncontent-le", TransientError, "broke off"),
    "in the body": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", TransientError, "broke off"),
    "in a chunk": (CHUNKED + b"5\r\nok", TransientError, "broke off"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Refused, "not HTTP"),
    "a broken chunk": (CHUNKED + b"zz\r\nok\r\n", Unusable, "rules of HTTP"),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        Unusable,
        "rules of HTTP",
    ),
}


@pytest.mark.parametrize("where", LOST)
async def test_an_answer_that_breaks_off_may_have_been_paid_for(where: str) -> None:
    answer, failure, told = LOST[where]
    async with asking(answering(answer)) as (_, client):
        with pytest.raises(failure, match=told) as raised:
            await post(client)
    assert raised.value.cut_off


async def test_a_connection_that_is_lost_between_two_requests_is_lost_on_the_second() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(OK)
        await request_on(reader)

    async with asking(conversation) as (_, client):
        await post(client)
        with pytest.raises(TransientError, match="broke off") as raised:
            await post(client)
    assert raised.value.cut_off


@pytest.mark.parametrize("begun", [b"", CHUNKED + b"2\r\n{ \r\n"], ids=["before the head", "in the body"])
async def test_a_cancelled_exchange_closes_its_connection(begun: bytes) -> None:
    asked = asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(begun)
        asked.set()
        await reader.read()

    async with asking(conversation) as (at, client):
        reply = asyncio.create_task(post(client))
        await asked.wait()
        reply.cancel()
        await asyncio.wait_for(at.ended.wait(), 10)
        with pytest.raises(asyncio.CancelledError):
            await reply


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


async def test_a_server_is_believed_only_with_a_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with listening(for_ever, tls) as at:
        url = f"https://127.0.0.1:{at.port}/v1"
        async with client_of(url) as client:
            with pytest.raises(Refused, match="certificate verify failed") as raised:
                await post(client)
        assert not raised.value.cut_off
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        at.connections = 0
        async with client_of(url) as client:
            assert [(await post(client, b"x" * 500_000)).body for _ in range(3)] == [{"ok": 1}] * 3
        assert at.connections == 1


@pytest.mark.parametrize("after", ["reads on", "reads on and closes", "waits"])
@pytest.mark.parametrize("status", ["200 OK", "413 Too Large"])
async def test_an_answer_that_comes_before_all_was_read_is_heard_if_the_rest_is_taken(status: str, after: str) -> None:
    gone = asyncio.Event()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http({"ok": 1}, status=status))
        if after == "waits":
            await gone.wait()
            return
        left = 50_000_000
        while left and (piece := await reader.read(1 << 20)):
            left -= len(piece)
        if after == "reads on":
            await reader.read()

    async with asking(conversation, write_s=0.3 if after == "waits" else 30.0) as (_, client):
        reply = await asyncio.gather(post(client, b"x" * 50_000_000), return_exceptions=True)
        gone.set()
    if after == "waits":
        assert isinstance(reply[0], TransientError)
        assert "no answer in time" in str(reply[0])
        assert reply[0].cut_off
    elif status.startswith("200"):
        assert isinstance(reply[0], HttpAnswer)
    else:
        assert "413" in str(reply[0])
