"""Answers in pieces: only the whole is used, and every way of breaking off is a failure that is tried again."""

from collections.abc import Callable
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.models.adapter import Request
from headway.models.client import Model
from headway.models.failures import ContextOverflow, Refused
from headway.models.turn import Reasoning, Text, ToolCall, Turn, Usage
from tests.models.servers import Answer, Server, event_of

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


A = '{"path": "a"}'
B = '{"path": "b"}'
C = '{"path": "c"}'
THREE = (("write", A), ("write", B), ("write", C))


def beside(*calls: dict[str, Any]) -> dict[str, Any]:
    """Calls of one chunk."""
    return piece(tool_calls=[{"function": each} for each in calls])


NAN = '{"choices": [{"logprobs": NaN, "delta": {"tool_calls": [{"index": 0, "function": {"name": "write"}}]}}]}'
CALLS: dict[str, tuple[list[Any], tuple[tuple[str, str], ...]]] = {
    "all number 0, ids empty": ([call(0, each, id="", name="write") for each in (A, B, C)], THREE),
    "no number, no id": ([call(None, each, name="write") for each in (A, B, C)], THREE),
    "one chunk, no number, no id": ([beside(*({"name": "write", "arguments": each} for each in (A, B, C)))], THREE),
    "glued": ([call(0, A, id="x", name="write"), call(0, B + "\n"), call(0, C)], THREE),
    "the whole once more at the end": ([call(0, A[:5], id="x", name="write"), call(0, A[5:]), call(0, A)], THREE[:1]),
    "a new id for each piece": ([call(0, A[:5], id="x", name="write"), call(0, A[5:], id="y")], THREE[:1]),
    "the name at each piece": ([call(0, A[:5], id="x", name="write"), call(0, A[5:], name="write")], THREE[:1]),
    "the name in pieces": ([call(0, id="x", name="wr"), call(0, name="ite"), call(0, A)], THREE[:1]),
    "the id late": ([call(0, A[:5], name="write"), call(0, A[5:], id="x")], THREE[:1]),
    "no number, pieces of two calls mixed": (
        [
            call(None, A[:5], id="x", name="write"),
            call(None, B[:5], id="y", name="write"),
            call(None, A[5:], id="x"),
            call(None, B[5:], id="y"),
        ],
        THREE[:2],
    ),
    "the older form": (
        [piece(function_call={"name": "write", "arguments": A[:5]}), piece(function_call={"arguments": A[5:]})],
        THREE[:1],
    ),
    "braces in a text": ([call(0, '{"path": "}{"}', id="x", name="write")], (("write", '{"path": "}{"}'),)),
    "not a number beside it": (
        [NAN, call(0, A)],
        THREE[:1],
    ),
}


@pytest.mark.parametrize(("events", "calls"), CALLS.values(), ids=CALLS)
async def test_calls_are_put_together_however_they_are_numbered(
    events: list[Any], calls: tuple[tuple[str, str], ...], ask: Ask
) -> None:
    turn = await ask(*events, piece("tool_calls"), "[DONE]")
    assert tuple((each.name, each.arguments) for each in turn.calls) == calls
    assert len({each.id for each in turn.calls}) == len(calls)


async def test_text_and_calls_may_come_in_two_choices(ask: Ask) -> None:
    second = call(0, A, id="x", name="write")["choices"][0] | {"index": 1}
    ends = [
        {"index": index, "delta": {}, "finish_reason": reason} for index, reason in enumerate(["stop", "tool_calls"])
    ]
    turn = await ask(piece(content="Now."), {"choices": [second]}, {"choices": ends}, "[DONE]")
    assert (turn.text, [each.name for each in turn.calls], turn.stop) == ("Now.", ["write"], "tool")


async def test_text_and_calls_may_come_in_two_whole_choices(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    made = {"tool_calls": [{"id": "x", "function": {"name": "write", "arguments": A}}]}
    said = [{"message": {"content": "Now."}, "finish_reason": "stop"}, {"message": made, "finish_reason": "tool_calls"}]
    server.answer = Answer({"choices": said})
    turn = await model_of().answer(request_)
    assert (turn.text, [each.name for each in turn.calls], turn.stop) == ("Now.", ["write"], "tool")


async def test_parts_of_text_are_text(ask: Ask) -> None:
    parts = piece(content=[{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}])
    assert (await ask(parts, piece("stop"), "[DONE]")).text == "Hello"


async def test_a_stream_that_calls_itself_plain_text_is_a_stream(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    said = b"".join(event_of(each) for each in (piece(content="Hello"), piece("stop"), "[DONE]"))
    server.answer = Answer(said, headers={"content-type": "text/plain"})
    for stream in ("on", "off"):
        assert (await model_of(HEADWAY_STREAM=stream).answer(request_)).text == "Hello"


UNREADABLE = {
    "cut": '{"choices": [{"delta": {"content": "a',
    "a text": '"Hello"',
    "nothing": "null",
    "a delta that is a text": '{"choices": [{"delta": "Hello"}]}',
    "choices that are a text": '{"choices": "Hello"}',
    "a text that is a number": '{"choices": [{"delta": {"content": 5}}]}',
    "a call that is a text": '{"choices": [{"delta": {"tool_calls": ["write"]}}]}',
}


@pytest.mark.parametrize("bad", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_piece_that_cannot_be_read_is_never_left_out(bad: str, ask: Ask) -> None:
    with pytest.raises(TransientError) as failure:
        await ask(call(0, A, id="x", name="write"), bad, piece("tool_calls"), "[DONE]")
    assert failure.value.cut_off


async def test_an_error_between_the_events_is_an_error(ask: Ask) -> None:
    with pytest.raises(Refused, match="slow down"):
        await ask(piece(content="Hel"), ': x\n\n{"error": {"message": "slow down", "code": 429}}\n\n', piece("stop"))


async def test_items_that_the_last_event_leaves_out_are_those_that_came_before(ask: Ask) -> None:
    done = [
        {"type": "response.output_item.done", "output_index": at, "item": item}
        for at, item in enumerate([THOUGHT, SAID])
    ]
    ends = {"type": "response.completed", "response": WHOLE | {"output": []}}
    turn = await ask(*BEGUN, *done, ends, api="responses")
    assert (turn.raw, turn.stop) == ((THOUGHT, SAID), "text")
    begun = {"type": "response.output_item.added", "output_index": 2, "item": THOUGHT}
    with pytest.raises(TransientError, match="no output"):
        await ask(*BEGUN, *done, begun, ends, api="responses")


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
    from headway.models.endpoint_variables import endpoint_from

    openai = endpoint_from({"OPENAI_API_KEY": "sk-abcdef"})
    assert (openai.profile.stream, openai.stall_s) == (True, 120)
    assert not endpoint_from({"OPENAI_API_KEY": "sk-abcdef", "HEADWAY_STREAM": "off"}).profile.stream
    assert not model_of().profile.stream
