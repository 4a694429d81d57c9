"""A file that a model writes by a stream is the file that it sent, however the stream is cut, or it is not written."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headway.domain.errors import TransientError
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.models.adapter import Request
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from tests.agents.stage import Stage
from tests.models.servers import Answer, Asked, Server

CONTENT = 'name = "Zoë \U0001f680"\n\te\u0301\u0301 \u4e2d \U0001f468\u200d\U0001f469 \\n "\\ud83d" \x7f\u2028 end\n'
"""Emoji, one of several characters; combining marks; escapes, and texts that look like some."""

STREAM = {"content-type": "text/event-stream"}
FILES_AT_ONCE = 100
SHORT = 6
"""Places of a cut in the short form."""


def arguments(number: int) -> tuple[str, str]:
    """A call's arguments, with their characters as they are, and as escapes; as long for each number."""
    given = {"path": f"{number:04}.txt", "content": CONTENT}
    return json.dumps(given, ensure_ascii=False), json.dumps(given)


def event(data: str | bytes | dict[str, Any]) -> bytes:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data.encode() if isinstance(data, str) else data
    return b"data: " + raw + b"\n\n"


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def bits(text: str | bytes) -> bytes:
    """A piece of a call's arguments. Bytes may begin and end within a character."""
    if isinstance(text, str):
        return event(chunk(tool_calls=[{"index": 0, "function": {"arguments": text}}]))
    spelt = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return event(
        json.dumps(chunk(tool_calls=[{"index": 0, "function": {"arguments": "@"}}])).encode().replace(b"@", spelt)
    )


def stream(*pieces: bytes, name: str = "write_file", id_: str = "c1") -> bytes:
    """A reply of one call."""
    named = chunk(tool_calls=[{"index": 0, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}])
    return b"".join((event(named), *pieces, event(chunk("tool_calls")), event("[DONE]")))


def cut_in_bytes(text: str, at: int) -> tuple[bytes, bytes]:
    return text.encode()[:at], text.encode()[at:]


def cut_in_halves(text: str, at: int) -> tuple[str, str]:
    """In two texts of UTF-16, as programs in JavaScript do."""
    units = text.encode("utf-16-le")
    return tuple(part.decode("utf-16-le", "surrogatepass") for part in (units[: 2 * at], units[2 * at :]))  # type: ignore[return-value]


RAW, ESCAPED = arguments(0)
CUTS: dict[str, tuple[Callable[[str, int], tuple[Any, Any]], int, int]] = {
    "characters, at every byte": (cut_in_bytes, 0, len(RAW.encode())),
    "characters, at every half": (cut_in_halves, 0, len(RAW.encode("utf-16-le")) // 2),
    "escapes, at every byte": (cut_in_bytes, 1, len(ESCAPED)),
}
LENGTHS = [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.long)]


def places(count: int, *, is_long: bool) -> list[int]:
    """Places in a text of so many units: all of them, or some, of which a row of neighbours."""
    return list(range(count)) if is_long else [*range(0, count, count // SHORT), *range(38, 42)]


class Writer:
    """A model that says these replies, and then lands what was written and hands off."""

    def __init__(self, replies: list[bytes]) -> None:
        self._replies = iter(replies)
        self.asked = 0

    def __call__(self, asked: Asked) -> Answer:
        self.asked += 1
        if (reply := next(self._replies, None)) is not None:
            return Answer(reply, headers=STREAM)
        calls = [each["tool_calls"][0]["function"]["name"] for each in asked.json["messages"] if "tool_calls" in each]
        if calls[-1] != "land":
            return Answer(stream(bits('{"message": "Write them"}'), name="land", id_="l"), headers=STREAM)
        end = '{"status": "done", "summary": "It is."}'
        return Answer(stream(bits(end), name="finish", id_="f"), headers=STREAM)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest_asyncio.fixture
async def stage(tmp_path: Path, server: Server) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, endpoint={"streams": True})
    stage.listen_to(server.url)
    yield stage
    await stage.close()


async def landed(stage: Stage, server: Server, numbers: list[int], cut: Any, form: int) -> None:
    """Have a task write a file for each place of a cut, and land them."""
    parts = [cut(arguments(number)[form], number) for number in numbers]
    server.answer = Writer([stream(*map(bits, each), id_=f"c{n}") for n, each in enumerate(parts)])
    _, handoff = await stage.done(stage.task(number=numbers[0]))
    assert handoff.report.status is HandoffStatus.DONE


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_long", LENGTHS)
@pytest.mark.parametrize(("cut", "form", "count"), CUTS.values(), ids=CUTS)
async def test_what_lands_is_what_was_sent_in_two_pieces(  # noqa: PLR0917 - fixtures and cases
    cut: Any, form: int, count: int, is_long: bool, stage: Stage, server: Server
) -> None:
    cuts = places(count, is_long=is_long)
    for at in range(0, len(cuts), FILES_AT_ONCE):
        await landed(stage, server, cuts[at : at + FILES_AT_ONCE], cut, form)
    written = {number: stage.on_trunk(f"{number:04}.txt") for number in cuts}
    assert {number: content for number, content in written.items() if content != CONTENT} == {}


def whole_chat() -> tuple[bytes, int]:
    """A streamed reply, and the number of its bytes at which it is whole."""
    text = arguments(0)[0]
    said = stream(bits(text[:40]), bits(text[40:]))
    return said, said.index(b"\n\n", said.index(b'"finish_reason": "tool_calls"'))


def whole_response(*, repeats: bool) -> tuple[bytes, int]:
    """The same of the Responses API, whose last event repeats the items or leaves them out."""
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "write_file", "arguments": arguments(0)[0]}
    ends = {"id": "r", "status": "completed", "model": "m", "output": [call] if repeats else []}
    said = b"".join(
        (
            event({"type": "response.created", "response": {"id": "r", "output": []}}),
            event({"type": "response.output_item.added", "output_index": 0, "item": call | {"arguments": ""}}),
            event({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": call["arguments"]}),
            event({"type": "response.output_item.done", "output_index": 0, "item": call}),
            event({"type": "response.completed", "response": ends}),
        )
    )
    return said, len(said) - 2


ENDED = {
    "chat": ("chat", whole_chat()),
    "responses": ("responses", whole_response(repeats=True)),
    "responses, items before the end": ("responses", whole_response(repeats=False)),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("is_long", LENGTHS)
@pytest.mark.parametrize(("api", "reply"), ENDED.values(), ids=ENDED)
async def test_nothing_of_a_reply_that_ended_early_is_carried_out(
    api: Any, reply: tuple[bytes, int], is_long: bool, server: Server
) -> None:
    said, whole_at = reply
    request = Request(model="m", system="You work.", items=[], agent=AgentId("r/root-1/2.0-aa"))
    places_ = range(whole_at) if is_long else range(0, whole_at, whole_at // 20)
    async with Model(Endpoint(base_url=server.url, api=api, streams=True)) as model:
        for place in places_:
            server.answer = Answer(said[:place], headers=STREAM)
            with pytest.raises(TransientError) as failure:
                await model.answer(request)
            assert failure.value.cut_off, "it counts as paid"
        server.answer = Answer(said[:whole_at], headers=STREAM)
        turn = await model.answer(request)
        assert [json.loads(call.arguments)["content"] for call in turn.calls] == [CONTENT]


async def test_a_reply_that_ended_early_is_asked_for_again(stage: Stage, server: Server) -> None:
    said, whole_at = whole_chat()
    ended = [said[:place] for place in (0, whole_at // 2, whole_at - 1)]
    server.answer = writer = Writer([each for early in ended for each in (early, said)])
    order = stage.task()
    for _ in ended:
        with pytest.raises(TransientError):
            await stage.work(order)
    _, handoff = await stage.done(order)
    assert handoff.report.status is HandoffStatus.DONE
    assert writer.asked == 2 * len(ended) + 2
    assert stage.on_trunk("0000.txt") == CONTENT
