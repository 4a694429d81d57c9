"""Chat Completions: what is sent, and what the answers of several servers become."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from headway.domain.errors import TransientError
from headway.models.adapter import Profile, Request
from headway.models.chat import ChatAdapter
from headway.models.client import Model
from headway.models.failures import Circumstance, ContextOverflow
from headway.models.turn import AssistantTurn, Item, Reasoning, Stop, Text, ToolCall, ToolOutput, Usage, UserMessage
from tests.models.servers import Answer, Server

CALL = {"id": "call_1", "type": "function", "function": {"name": "shell", "arguments": '{"command":"ls"}'}}
LS = ToolCall(id="call_1", name="shell", arguments='{"command":"ls"}')


def completion(message: dict[str, Any], reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]} | more


NOTHING_SAID = Usage()


@dataclass(frozen=True)
class Case:
    name: str
    response: dict[str, Any]
    items: tuple[Item, ...]
    stop: Stop
    raw: dict[str, Any]
    usage: Usage = NOTHING_SAID


CASES = [
    Case(
        "OpenAI, text",
        completion(
            {"content": "Hello", "refusal": None, "annotations": []},
            usage={
                "prompt_tokens": 20,
                "completion_tokens": 7,
                "total_tokens": 27,
                "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
            },
        ),
        (Text(text="Hello"),),
        "text",
        {"role": "assistant", "content": "Hello"},
        Usage(input=20, cached=16, written=2, output=7, reasoning=3),
    ),
    Case(
        "OpenAI, a call without text",
        completion({"content": None, "tool_calls": [CALL], "refusal": None}, "tool_calls"),
        (LS,),
        "tool",
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    ),
    Case(
        "OpenAI, refusal",
        completion({"content": None, "refusal": "I can't."}),
        (Text(text="I can't."),),
        "refusal",
        {"role": "assistant", "content": "", "refusal": "I can't."},
    ),
    Case(
        "Azure, content filter",
        completion({"content": "Part"}, "content_filter"),
        (Text(text="Part"),),
        "refusal",
        {"role": "assistant", "content": "Part"},
    ),
    Case(
        "vLLM, reasoning parser, details null, says stop although it calls",
        completion(
            {"content": None, "reasoning_content": "Let me look.", "tool_calls": [CALL]},
            usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": None},
            prompt_logprobs=None,
        ),
        (Reasoning(text="Let me look."), LS),
        "tool",
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Let me look."},
        Usage(input=9, output=4),
    ),
    Case(
        "Ollama, index in the call, thoughts in `reasoning`, empty content",
        completion({"content": "", "reasoning": "Hm.", "tool_calls": [CALL | {"index": 0}]}, "tool_calls"),
        (Reasoning(text="Hm."), LS),
        "tool",
        {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning": "Hm."},
    ),
    Case(
        "llama.cpp, cut in the middle of the arguments",
        completion(
            {"content": "", "tool_calls": [CALL | {"function": {"name": "shell", "arguments": '{"comm'}}]},
            "length",
            usage={"completion_tokens": 10, "prompt_tokens": 5, "total_tokens": 15},
            timings={"prompt_n": 5},
        ),
        (ToolCall(id="call_1", name="shell", arguments='{"comm'),),
        "length",
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [CALL | {"function": {"name": "shell", "arguments": '{"invalid_json":"{\\"comm"}'}}],
        },
        Usage(input=5, output=10),
    ),
    Case(
        "a gateway: arguments as an object, counts as text, unknown fields of the call kept",
        completion(
            {
                "content": [{"type": "text", "text": "Now"}],
                "tool_calls": [
                    {
                        "id": "call_1",
                        "function": {"name": "shell", "arguments": {"command": "ls"}},
                        "extra_content": {"signature": "s"},
                    }
                ],
            },
            "tool_calls",
            usage={"prompt_tokens": "many", "completion_tokens": -3},
        ),
        (Text(text="Now"), LS),
        "tool",
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Now"}],
            "tool_calls": [CALL | {"extra_content": {"signature": "s"}}],
        },
    ),
    Case(
        "a gateway: arguments encoded twice",
        completion({"tool_calls": [CALL | {"function": {"name": "shell", "arguments": '"{\\"command\\":\\"ls\\"}"'}}]}),
        (LS,),
        "tool",
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    ),
    Case(
        "a gateway: no arguments at all",
        completion({"tool_calls": [{"id": "w", "function": {"name": "wait", "arguments": None}}]}),
        (ToolCall(id="w", name="wait", arguments="{}"),),
        "tool",
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "w", "type": "function", "function": {"name": "wait", "arguments": "{}"}}],
        },
    ),
    Case(
        "a gateway: usage null",
        completion({"content": "x"}, usage=None),
        (Text(text="x"),),
        "text",
        {"role": "assistant", "content": "x"},
    ),
    Case("silence", completion({"content": None}), (), "empty", {"role": "assistant", "content": ""}),
    Case("blanks", completion({"content": "\n"}), (Text(text="\n"),), "empty", {"role": "assistant", "content": "\n"}),
    Case(
        "nothing but thoughts, to the limit",
        completion({"content": None, "reasoning_content": "so"}, "length"),
        (Reasoning(text="so"),),
        "length",
        {"role": "assistant", "content": "", "reasoning_content": "so"},
    ),
    Case(
        "no finish reason, junk among the calls",
        completion({"content": "x", "tool_calls": ["?", {"id": "y"}]}, None),
        (Text(text="x"),),
        "text",
        {"role": "assistant", "content": "x"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_answer_becomes_a_neutral_turn(
    case: Case, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(case.response, headers={"x-request-id": "req-7"})
    turn = await model_of().answer(request_)
    assert turn.items == case.items
    assert turn.stop == case.stop
    assert turn.raw == (case.raw,)
    assert turn.usage == case.usage
    assert (turn.model, turn.response_id, turn.request_id) == ("m", "chatcmpl-1", "req-7")
    assert turn.tokens >= 1


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("call_0", "call_0"), (7, "call_0")])
async def test_every_call_gets_an_id_of_its_own(
    ids: tuple[Any, Any], server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    calls = [{"id": id_, "function": {"name": "shell", "arguments": "{}"}} for id_ in ids]
    server.answer = Answer(completion({"tool_calls": calls}))
    turn = await model_of().answer(request_)
    found = [call.id for call in turn.calls]
    assert len(set(found)) == 2
    assert all(found)
    assert [call["id"] for call in turn.raw[0]["tool_calls"]] == found


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (completion({}) | {"choices": []}, TransientError),
        (completion({}) | {"choices": None}, TransientError),
        ({}, TransientError),
        ({"choices": ["?"]}, TransientError),
        (completion({"content": "half"}, "error"), TransientError),
        ({"error": {"message": "upstream is down", "code": 502}}, TransientError),
        ({"choices": [{"error": {"message": "slow down", "code": 429}, "message": {}}]}, TransientError),
        (
            {"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error", "n_ctx": 256}},
            ContextOverflow,
        ),
    ],
)
async def test_an_answer_that_is_none_is_a_failure(
    response: Any, failure: type[Exception], server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(response)
    with pytest.raises(failure):
        await model_of().answer(request_)


async def test_the_request_is_what_such_servers_expect(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(completion({"content": "ok"}))
    model = model_of()
    messages = (UserMessage("Do ü"), AssistantTurn(({"role": "assistant", "tool_calls": [CALL]},)))
    items = [model.encode(message) for message in (*messages, AssistantTurn(()), ToolOutput("call_1", "a\nb"))]
    await model.answer(replace(request_, items=items, effort="high", tool_choice="none"))
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["content-type"] == "application/json"
    assert (asked.headers["x-headway-agent"], asked.headers["x-headway-step"]) == (request_.agent, "3")
    assert asked.json == {
        "model": "some-model",
        "max_tokens": 1000,
        "reasoning_effort": "high",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "shell",
                    "description": "Runs a command.",
                    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
                },
            }
        ],
        "tool_choice": "none",
        "parallel_tool_calls": True,
        "prompt_cache_key": request_.agent,
        "messages": [
            {"role": "system", "content": "You work."},
            {"role": "user", "content": "Do ü"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a\nb"},
        ],
    }


def test_a_conversation_that_grows_keeps_its_bytes(request_: Request) -> None:
    adapter = ChatAdapter(Profile(), Circumstance("here"))
    first = [adapter.encode(UserMessage(text)) for text in ("a", "b")]
    short = adapter.body(replace(request_, items=first))
    more = replace(request_, items=[*first, adapter.encode(UserMessage("c"))], max_output=7, tool_choice="none")
    assert adapter.body(more).startswith(short.partition(b'],"max_tokens"')[0])


def test_the_profile_names_the_limit_and_drops_thoughts(request_: Request) -> None:
    adapter = ChatAdapter(Profile(max_tokens="max_completion_tokens", echo_reasoning=False), Circumstance("here"))
    body = orjson.loads(adapter.body(replace(request_, tools=())))
    assert body["max_completion_tokens"] == 1000
    assert not {"max_tokens", "tools", "tool_choice"} & set(body)
    turn = adapter.decode(completion({"content": "x", "reasoning": "r", "reasoning_details": [{"data": "?"}]}))
    assert turn.raw == ({"role": "assistant", "content": "x"},)
    assert Reasoning(text="r") in turn.items
