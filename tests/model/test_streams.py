"""Answers in pieces: only the whole is used, and every way of breaking off is a failure that is tried again."""

from collections.abc import Callable
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.model.adapter import Request
from headway.model.client import Model
from headway.model.failures import ContextOverflow, Refused
from headway.model.turn import Reasoning, Text, ToolCall, Turn, Usage
from tests.model.servers import Answer, Server

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
WHOLE = {
    "id": "resp_1",
    "status": "completed",
    "model": "m",
    "output": [THOUGHT, SAID],
    "usage": {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}},
}
BEGUN = [
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
    {"type": "response.output_text.delta", "delta": "response.completed error"},
]
Ask = Callable[..., Any]


@pytest.fixture
def ask(server: Server, model_of: Callable[..., Model], request_: Request) -> Ask:
    """Asks a server whose answer comes in these pieces."""

    async def asked(*events: Any, api: str = "chat", hang: bool = False, **env: str) -> Turn:
        server.answer = Answer(events=list(events), hang=hang)
        return await model_of(HEADWAY_API=api, HEADWAY_STREAM="on", **env).answer(request_)

    return asked


def piece(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(index: int | None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {name: value for name, value in (("name", more.pop("name", None)), ("arguments", arguments)) if value}
    place = {} if index is None else {"index": index}
    return piece(tool_calls=[place | more | {"function": function}])


USAGE = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}

CHATS: dict[str, tuple[list[Any], tuple[Any, ...], str]] = {
    "OpenAI: text, with usage at the end": (
        [
            piece(role="assistant", content=""),
            piece(content="Hel"),
            piece(content="lo"),
            piece("stop"),
            USAGE,
            "[DONE]",
        ],
        (Text(text="Hello"),),
        "text",
    ),
    "vLLM: thoughts, then two calls, the arguments in bits": (
        [
            piece(reasoning_content="Let "),
            piece(reasoning_content="me."),
            call(0, '{"a"', id="x1", type="function", name="shell"),
            call(0, ":1}"),
            call(1, "{}", id="x2", type="function", name="land"),
            piece("tool_calls"),
            USAGE,
            "[DONE]",
        ],
        (
            Reasoning(text="Let me."),
            ToolCall(id="x1", name="shell", arguments='{"a":1}'),
            ToolCall(id="x2", name="land", arguments="{}"),
        ),
        "tool",
    ),
    "Ollama: whole calls, all of them number 0, no [DONE]": (
        [
            call(0, '{"a":1}', id="x1", name="shell"),
            call(0, '{"b":2}', id="x2", name="shell"),
            piece("tool_calls"),
            USAGE,
        ],
        (
            ToolCall(id="x1", name="shell", arguments='{"a":1}'),
            ToolCall(id="x2", name="shell", arguments='{"b":2}'),
        ),
        "tool",
    ),
    "a gateway: keeps the line open, arguments as an object, no numbers": (
        [": PROCESSING\n\n", call(None, {"a": 1}, id="x1", name="shell"), piece("stop"), USAGE, "[DONE]"],
        (ToolCall(id="x1", name="shell", arguments='{"a":1}'),),
        "tool",
    ),
    "llama.cpp: cut by the limit": (
        [call(0, '{"a', id="x1", name="shell"), piece("length"), USAGE, "[DONE]"],
        (ToolCall(id="x1", name="shell", arguments='{"a'),),
        "length",
    ),
}


@pytest.mark.parametrize(("events", "items", "stop"), CHATS.values(), ids=CHATS)
async def test_pieces_of_a_chat_become_the_turn_that_a_whole_answer_is(
    events: list[Any], items: tuple[Any, ...], stop: str, ask: Ask
) -> None:
    turn = await ask(*events)
    assert turn.items == items
    assert turn.stop == stop
    assert turn.usage == Usage(input=9, output=3)
    assert (turn.model, turn.response_id, turn.tokens) == ("m", "c1", 12)


async def test_of_responses_only_the_completed_one_counts(ask: Ask, server: Server) -> None:
    turn = await ask(*BEGUN, {"type": "response.completed", "response": WHOLE}, api="responses")
    assert turn.raw == (THOUGHT, SAID), "reasoning goes back unchanged"
    assert (turn.usage.cached, turn.tokens) == (4, 7)
    assert server.asked[0].json["stream"] is True


async def test_a_server_that_does_not_stream_is_read_all_the_same(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(WHOLE)
    turn = await model_of(HEADWAY_API="responses", HEADWAY_STREAM="on").answer(request_)
    assert turn.text == "Hi"


BROKEN: dict[str, tuple[str, list[Any], type[Exception], str]] = {
    "chat: breaks off in the middle": ("chat", [piece(content="Hel")], TransientError, "no choice"),
    "chat: nothing at all": ("chat", [], TransientError, "no choice"),
    "chat: [DONE] without an end": ("chat", [piece(content="Hel"), "[DONE]"], TransientError, "no choice"),
    "chat: no JSON": ("chat", ["<html>"], TransientError, "no JSON: <html>"),
    "chat: an error in the middle": (
        "chat",
        [piece(content="Hel"), {"error": {"message": "upstream is down", "code": 502}}],
        TransientError,
        "upstream is down",
    ),
    "chat: an error in a choice": (
        "chat",
        [{"choices": [{"error": {"message": "slow down", "code": 429}}]}],
        Refused,
        "slow down",
    ),
    "responses: breaks off": ("responses", BEGUN, TransientError, "no output"),
    "responses: fails": (
        "responses",
        [
            *BEGUN,
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}},
        ],
        TransientError,
        "server_error",
    ),
    "responses: an error event": (
        "responses",
        [*BEGUN, {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None}],
        Refused,
        "slow down",
    ),
    "responses: a gateway's error": (
        "responses",
        [*BEGUN, {"error": {"code": "context_length_exceeded", "message": "too long"}}],
        ContextOverflow,
        "too long",
    ),
}


@pytest.mark.parametrize(("api", "events", "failure", "told"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_off_is_a_failure_with_a_name(
    api: str, events: list[Any], failure: type[Exception], told: str, ask: Ask
) -> None:
    with pytest.raises(failure, match=told):
        await ask(*events, api=api)


@pytest.mark.parametrize("last", [piece(content="Hel"), ": still here\n\n"])
async def test_a_stall_ends_the_call(last: Any, ask: Ask) -> None:
    with pytest.raises(TransientError, match="stalled: nothing for 1 s"):
        await ask(piece(content="Well, "), last, hang=True, HEADWAY_STALL_S="1")


def test_streams_are_on_at_openai_and_off_elsewhere(model_of: Callable[..., Model]) -> None:
    from headway.model.endpoint import endpoint_from

    openai = endpoint_from({"OPENAI_API_KEY": "sk-abcdef"})
    assert (openai.profile.stream, openai.stall_s) == (True, 120)
    assert not endpoint_from({"OPENAI_API_KEY": "sk-abcdef", "HEADWAY_STREAM": "off"}).profile.stream
    assert not model_of().profile.stream
