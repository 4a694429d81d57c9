"""A model server that means harm: what a reply may take of this process, and where the key and the conversation go."""

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId
from headway.models import reply_bounds
from headway.models.adapter import Request
from headway.models.chat_stream import ChatPieces
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.failures import FatalModelError, Refused, Unusable
from headway.models.lenient_json import MAX_CALLS, MAX_COUNT, MAX_DEPTH, MAX_NAME, json_in, mended
from headway.models.naming import MAX_SENT
from headway.models.retry_after import reset_in
from headway.models.turn import Turn, Usage
from tests.models.listeners import Listener, Talk, answering, flooding, http, listening, request_on

KEY = "sk-live-0123456789abcdef"
SAID = "the words of the conversation"
MB = 1 << 20
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def asking(conversation: Talk, **more: Any) -> AsyncIterator[tuple[Listener, Model]]:
    async with listening(conversation) as at, Model(Endpoint(base_url=at.url, api_key=SecretStr(KEY), **more)) as model:
        yield at, model


def request(model: Model) -> Request:
    from headway.models.turn import UserMessage

    return Request(model="m", system="You work.", items=(model.encode(UserMessage(SAID)),), agent=AgentId("r/a"))


async def ask(conversation: Talk, **more: Any) -> Turn:
    async with asking(conversation, **more) as (_, model):
        return await model.answer(request(model))


def chat(*calls: dict[str, Any], content: Any = "hi", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content} | ({"tool_calls": list(calls)} if calls else {})
    return {"id": "x", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]} | more


def call(number: int, arguments: Any = "{}") -> dict[str, Any]:
    return {"id": f"c{number}", "type": "function", "function": {"name": "list_dir", "arguments": arguments}}


# Where the key and the conversation go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["another origin", "the same origin"])
async def test_no_redirect_is_followed_and_its_address_is_told(status: int, place: str) -> None:
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_on(reader))
        writer.write(http(chat()))

    async with listening(elsewhere) as other:
        to = f"http://localhost:{other.port}/v1" if place == "another origin" else "/elsewhere"
        redirect = http(b"", f"location: {to}", "set-cookie: a=b", status=f"{status} Moved")
        async with asking(answering(redirect, redirect)) as (at, model):
            with pytest.raises(Refused, match="Set OPENAI_BASE_URL") as raised:
                await model.answer(request(model))
            with pytest.raises(Refused, match="not followed"):
                await model.models()
            assert at.connections == 2, "each was asked once"
        assert to in str(raised.value)
        assert raised.value.kind == "address"
        assert not heard


async def test_one_page_between_answers_is_tried_again_and_the_second_in_a_row_closes_the_address() -> None:
    page = http(b"<html>Busy</html>", "content-type: text/html")
    async with asking(answering(http(chat()), page, http(chat()), page, page)) as (_, model):
        for _ in range(2):
            await model.answer(request(model))
            with pytest.raises(TransientError, match="this is not the API") as passing:
                await model.answer(request(model))
            assert not isinstance(passing.value, Refused)
        with pytest.raises(Refused, match="Correct OPENAI_BASE_URL"):
            await model.answer(request(model))


async def test_cookies_are_not_kept() -> None:
    heard: list[bytes] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await request_on(reader))
            writer.write(http(chat(), *(f"set-cookie: c{number}={'v' * 900}" for number in range(90))))

    async with asking(conversation) as (_, model):
        for _ in range(2):
            await model.answer(request(model))
        assert not list(model.http._first._client.cookies.jar)
    assert b"cookie" not in heard[1].lower()


# What a reply may take


def peak() -> int:
    """Bytes of resident memory at most, since it was forgotten last."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024


def forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()


PILED = gzip.compress(100 * gzip.compress(bytes(7 * MB)))
"""700 MB, twice compressed."""

FLOODS: dict[str, tuple[Talk, dict[str, Any], type[TransientError], str]] = {
    "gzip": (answering(http(PILED, "content-encoding: gzip, gzip")), {}, Refused, "encoded as"),
    "an encoding that nobody knows": (answering(http(b"{}", "content-encoding: x-zip")), {}, Refused, "encoded as"),
    "a body without end": (flooding(CHUNKED + b"\r\n", b"100000\r\n" + b"x" * MB + b"\r\n"), {}, Unusable, "32 MB"),
    "a body of 500 MB": (flooding(http(b"").replace(b": 0", b": 500000000"), b" " * MB), {}, Unusable, "32 MB"),
    "chunks of a byte": (flooding(CHUNKED + b"\r\n", b"1\r\n \r\n" * 10_000), {}, Unusable, "32 MB"),
    "a line without end": (flooding(EVENTS, b"data: " + b"x" * MB), {"streams": True}, Unusable, "32 MB"),
    "events without end": (flooding(EVENTS, b"data: {}\n\n" * 10_000), {"streams": True}, Unusable, "events"),
    "comments without end": (flooding(EVENTS, b": still here\n" * 10_000), {"streams": True}, Unusable, "32 MB"),
    "a text of 31 MB": (answering(http(b'{"a":"' + b"x" * 31 * MB + b'"}')), {}, Unusable, "more than 4 MB"),
    "a text of 31 MB in one event": (
        answering(EVENTS + b'data: {"a":"' + b"x" * 31 * MB + b'"}\n\n'),
        {"streams": True},
        Unusable,
        "more than 4 MB",
    ),
    "a text of 8 MB in pieces": (
        answering(EVENTS + 80 * (b'data: {"choices":[{"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n')),
        {"streams": True},
        Unusable,
        "more than 4 MB",
    ),
    "brackets": (answering(http(b"[" * 3 * MB)), {}, Unusable, "values"),
    "empty lists": (answering(http(b'{"a":[' + b"[]," * MB + b"[]]}")), {}, Unusable, "values"),
    "lists among a call's arguments": (
        answering(http(chat(call(0, "[[]," + "[]," * MB + "[]]")))),
        {},
        Unusable,
        "values",
    ),
    "lists among a call's arguments, spelt as escapes": (
        answering(http(json.dumps(chat(call(0, "?" * 300_000))).replace("?", "\\u005b\\u002c").encode())),
        {},
        Unusable,
        "values",
    ),
    "levels": (answering(http(chat(content=json.loads("[" * 330 + "]" * 330)))), {}, Unusable, "levels"),
    "levels of arguments": (answering(http(chat(call(0, json.loads("[" * 900 + "]" * 900))))), {}, Unusable, "levels"),
}


SLOW = ("chunks of a byte", "events without end", "comments without end")
"""A part of their bound shows the same, in less time."""


@pytest.mark.parametrize(
    "flood", [pytest.param(each, marks=pytest.mark.long if each in SLOW else ()) for each in FLOODS]
)
async def test_no_reply_takes_more_than_its_share_of_memory(flood: str) -> None:
    conversation, more, failure, told = FLOODS[flood]
    before = forget_peak()
    with pytest.raises(failure, match=told) as raised:
        await ask(conversation, **more)
    assert peak() - before < 200 * MB
    assert raised.value.cut_off, "it may have been paid for"
    assert len(str(raised.value)) < 1000


async def test_the_largest_reply_is_taken() -> None:
    text = "x" * (4 * MB - 1_000)
    assert len((await ask(answering(http(chat(content=text))))).text) == len(text)


async def test_a_stream_may_be_longer_than_what_it_says() -> None:
    piece = {"choices": [{"delta": {"content": "word"}}], "obfuscation": "x" * 8_000}
    end: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    said = [piece] * 3_000 + [end]
    answer = EVENTS + b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in said)
    assert len(answer) > 20 * MB
    assert (await ask(answering(answer), streams=True)).text == "word" * 3_000


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("body", [b'{"error":{"message":"no","a":' + b"[" * 950 + b"]" * 950 + b"}}", b"[[]," * MB])
async def test_of_an_error_only_the_beginning_is_read(status: int, body: bytes) -> None:
    begun = http(body, "content-type: text/html; charset=punycode", status=f"{status} No")
    began = time.process_time()
    with pytest.raises((TransientError, FatalModelError)) as raised:
        await ask(flooding(begun.replace(b"content-length: ", b"content-length: 9"), b"x" * MB))
    assert len(str(raised.value)) < 1000
    assert time.process_time() - began < 2


@pytest.mark.parametrize("flood", SLOW)
async def test_an_agent_is_not_kept_waiting_while_another_reads_a_flood_of_small_pieces(
    flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces that have arrived already are read without a wait."""
    longest, ends = 0.0, asyncio.Event()

    async def beats() -> None:
        nonlocal longest
        while not ends.is_set():
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    conversation, more, _, _ = FLOODS[flood]
    monkeypatch.setattr(reply_bounds, "MAX_REPLY_BYTES", 2 * MB)
    async with asking(conversation, **more) as (_, model):
        beating = asyncio.create_task(beats())
        with pytest.raises(Unusable):
            await model.answer(request(model))
        ends.set()
        await beating
    assert longest < 0.1


async def test_pieces_are_put_together_in_linear_time() -> None:
    """Each piece copied what there was: 60,000 pieces took minutes."""
    pieces = ChatPieces()
    text = "x" * 60
    spelt: dict[str, Any] = {
        "content": text,
        "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": text}}],
    }
    chunk = json.dumps({"choices": [{"delta": spelt}]}).encode()
    began = time.process_time()
    for _ in range(30_000):
        pieces.take(chunk)
    pieces.take(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    assert len(pieces.whole["choices"][0]["message"]["content"]) == 30_000 * len(text)
    assert time.process_time() - began < 5


# What a reply says


@pytest.mark.parametrize("streams", [False, True])
async def test_of_too_many_calls_none_is_run_and_the_model_is_told(streams: bool) -> None:
    calls = [call(number) for number in range(1000)]
    answer = http(chat(*calls))
    if streams:
        pieces: list[Any] = [
            {"choices": [{"delta": {"tool_calls": [each | {"index": n}]}}]} for n, each in enumerate(calls)
        ]
        pieces.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
        answer = EVENTS + b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces)
    turn = await ask(answering(answer), streams=streams)
    assert turn.stop == "length", "its calls are not run"
    assert len(turn.calls) == len(turn.raw[0]["tool_calls"]) == MAX_CALLS
    assert [each.id for each in turn.calls] == [each["id"] for each in turn.raw[0]["tool_calls"]]


async def test_of_too_many_calls_of_the_other_api_none_is_run() -> None:
    output = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"} for n in range(1000)]
    turn = await ask(answering(http({"output": output, "status": "completed"})), api="responses")
    assert (turn.stop, len(turn.calls), len(turn.raw)) == ("length", MAX_CALLS, MAX_CALLS)


COUNTS: dict[str, tuple[str, int | None]] = {
    "as it should be": ("12", 12),
    "as a fraction": ("12.9", 12),
    "the largest": (str(MAX_COUNT), MAX_COUNT),
    "1e30": ("1e30", None),
    "2**70": (str(2**70), None),
    "2**63": (str(2**63), None),
    "negative": ("-1", None),
    "a word": ('"12"', None),
    "true": ("true", None),
    "none at all": ("null", None),
    "zero": ("0", None),
    "no JSON": ("NaN", None),
    "without end": ("Infinity", None),
    "too large for a float": ("1e400", None),
}


@pytest.mark.parametrize(("spelt", "count"), COUNTS.values(), ids=COUNTS)
async def test_a_count_that_cannot_be_is_none(spelt: str, count: int | None) -> None:
    usage = f'{{"prompt_tokens":{spelt},"completion_tokens":{spelt}}}'
    body = json.dumps(chat(usage="USAGE")).replace('"USAGE"', usage).encode()
    turn = await ask(answering(http(body)))
    assert (turn.usage.input, turn.usage.output) == (count, count)
    assert 1 <= turn.tokens <= 2 * MAX_COUNT


async def test_a_part_is_no_more_than_its_whole() -> None:
    details = {"cached_tokens": 10**7, "cache_write_tokens": 10**7}
    usage: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": details}
    usage["completion_tokens_details"] = {"reasoning_tokens": 10**7}
    turn = await ask(answering(http(chat(usage=usage))))
    assert turn.usage == Usage(input=10, cached=10, written=10, output=3, reasoning=3)


async def test_names_are_no_longer_than_names() -> None:
    long = "n" * 100_000
    made = {"id": long, "type": "function", "function": {"name": long, "arguments": "{}"}}
    turn = await ask(answering(http(chat(made, id=long, model=long), f"x-request-id: {long[:90_000]}")))
    told = (turn.model, turn.response_id, turn.request_id, turn.calls[0].name, turn.calls[0].id)
    assert max(map(len, told)) <= MAX_NAME
    assert turn.raw[0]["tool_calls"][0]["function"]["name"] == "n" * MAX_SENT, "as servers take it back"


@pytest.mark.parametrize("header", ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens"])
@pytest.mark.parametrize(
    "value", ["1" * 100_000, "1h" * 50_000, "1" * 50_000 + "s", "Mon, 99 Foo 99999999999 99:99:99"]
)
def test_no_header_takes_long_or_waits_long(header: str, value: str) -> None:
    began = time.process_time()
    seconds = reset_in({header: value, "x-ratelimit-remaining-tokens": "0"}, 1_800_000_000.0)
    assert seconds is None or 0 <= seconds <= 3600
    assert time.process_time() - began < 0.05


HALVES = {
    r'"a \ud83d b"': "a � b",
    r'"\udc00"': "�",
    r'"\ud83d\ud83d\ude00"': "�😀",
    r'"\ud83d\ude00"': "😀",
    r'"\\ud83d"': r"\ud83d",
    r'"\\\ud83d"': "\\�",
    '"\\ud83d\\n"': "�\n",
}


@pytest.mark.parametrize(("text", "meant"), HALVES.items(), ids=map(ascii, HALVES))
async def test_half_a_surrogate_pair_is_a_replacement_character(text: str, meant: str) -> None:
    assert json_in(text.encode()) == meant
    assert json.loads(mended(text)) == meant
    turn = await ask(answering(http(json.dumps(chat(call(0, f'{{"path":{text}}}'))).encode())))
    assert json.loads(turn.calls[0].arguments) == {"path": meant}


ESCAPES = (
    r"\\",
    r"\n",
    r"\"",
    r"\ud83d",
    r"\uDe00",
    r"\udbff",
    r"\uD800",
    r"\uDFFF",
    r"\u0041",
    "ud83d",
    "u",
    "d",
    "8",
    "a",
)


@given(st.lists(st.sampled_from(ESCAPES), max_size=12))
def test_mending_changes_nothing_but_halves(pieces: list[str]) -> None:
    text = f'"{"".join(pieces)}"'
    assert json.loads(mended(text)) == re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))


def test_levels_are_counted() -> None:
    json_in(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def quadratic(work: Callable[[int], object]) -> bool:
    """Whether ten times as much takes far more than ten times as long."""
    work(1000)
    took = []
    for size in (20_000, 200_000):
        began = time.process_time()
        work(size)
        took.append(time.process_time() - began)
    return took[1] > 40 * took[0] + 0.1


@pytest.mark.parametrize("unit", ["\\ud83d", "\\\\", "\\u", "\\ud83d\\u", "\\", "ud"])
def test_mending_is_linear(unit: str) -> None:
    assert not quadratic(lambda size: mended(f'"\\ud{unit * size}'))
