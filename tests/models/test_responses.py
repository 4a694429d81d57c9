"""Responses: what is sent, and what answers become."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.client import Model
from headway.models.failures import ContextOverflow, FatalModelError
from headway.models.turn import (
    AssistantTurn,
    Item,
    Raw,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolOutput,
    Usage,
    UserMessage,
)
from tests.models.servers import Answer, Server

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "shell",
    "arguments": '{"command":"ls"}',
    "status": "completed",
}
PATCH = {
    "type": "apply_patch_call",
    "id": "apc_1",
    "call_id": "call_2",
    "status": "completed",
    "operation": {"type": "update_file", "path": "a.py", "diff": "@@\n-a\n+b\n"},
}
CHANGE = ToolCall(
    id="call_2",
    name="apply_patch",
    arguments='{"operation":{"type":"update_file","path":"a.py","diff":"@@\\n-a\\n+b\\n"}}',
    form="patch",
)
GONE = {"type": "delete_file", "path": "b.py"}
LS = ToolCall(id="call_1", name="shell", arguments='{"command":"ls"}')


def said(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [*content], **more}


def words(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def response(*output: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [*output]} | more


NOTHING_SAID = Usage()


@dataclass(frozen=True)
class Case:
    name: str
    response: dict[str, Any]
    items: tuple[Item, ...]
    stop: Stop
    raw: tuple[dict[str, Any], ...]
    usage: Usage = NOTHING_SAID


CASES = [
    Case(
        "OpenAI: thinks, comments, calls",
        response(
            THOUGHT,
            said(words("Looking."), phase="commentary"),
            CALL,
            error=None,
            usage={
                "input_tokens": 30,
                "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 4},
                "output_tokens": 12,
                "output_tokens_details": {"reasoning_tokens": 8},
                "total_tokens": 42,
            },
        ),
        (Reasoning(), Text(text="Looking."), LS),
        "tool",
        (THOUGHT, said(words("Looking."), phase="commentary"), CALL),
        Usage(input=30, cached=10, written=4, output=12, reasoning=8),
    ),
    Case(
        "OpenAI: a summary of thoughts",
        response(THOUGHT | {"summary": [{"type": "summary_text", "text": "I weigh."}]}, said(words("Done."))),
        (Reasoning(text="I weigh."), Text(text="Done.")),
        "text",
        (THOUGHT | {"summary": [{"type": "summary_text", "text": "I weigh."}]}, said(words("Done."))),
    ),
    Case(
        "OpenAI: refusal",
        response(said({"type": "refusal", "refusal": "No."})),
        (Text(text="No."),),
        "refusal",
        (said({"type": "refusal", "refusal": "No."}),),
    ),
    Case(
        "OpenAI: cut by the limit",
        response(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        (Reasoning(),),
        "length",
        (THOUGHT,),
    ),
    Case(
        "OpenAI: content filter",
        response(said(words("Pa")), status="incomplete", incomplete_details={"reason": "content_filter"}),
        (Text(text="Pa"),),
        "refusal",
        (said(words("Pa")),),
    ),
    Case(
        "items of a kind that is not known yet go back as they came",
        response({"type": "hologram", "id": "h_1", "deep": {"er": [1.5, None]}}, CALL),
        (Raw(raw={"type": "hologram", "id": "h_1", "deep": {"er": [1.5, None]}}), LS),
        "tool",
        ({"type": "hologram", "id": "h_1", "deep": {"er": [1.5, None]}}, CALL),
    ),
    Case(
        "vLLM: thoughts in the open, no usage details",
        response(
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
            said(words("x")),
            usage={"input_tokens": 3, "output_tokens": 2},
        ),
        (Reasoning(text="Hm."), Text(text="x")),
        "text",
        (
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
            said(words("x")),
        ),
        Usage(input=3, output=2),
    ),
    Case(
        "a gateway: arguments as an object",
        response(CALL | {"arguments": {"command": "ls"}}),
        (LS,),
        "tool",
        (CALL,),
    ),
    Case(
        "a gateway: no call id",
        response({k: v for k, v in CALL.items() if k != "call_id"}),
        (ToolCall(id="fc_1", name="shell", arguments='{"command":"ls"}'),),
        "tool",
        (CALL | {"call_id": "fc_1"},),
    ),
    Case(
        "arguments that are no JSON are wrapped for the way back",
        response(CALL | {"arguments": '{"comm'}, status="incomplete"),
        (ToolCall(id="call_1", name="shell", arguments='{"comm'),),
        "length",
        (CALL | {"arguments": '{"invalid_json":"{\\"comm"}'},),
    ),
    Case(
        "OpenAI: changes of files by the tool of its API",
        response(THOUGHT, PATCH, PATCH | {"id": "apc_2", "call_id": "call_3", "operation": GONE}),
        (
            Reasoning(),
            CHANGE,
            ToolCall(
                id="call_3",
                name="apply_patch",
                arguments='{"operation":{"type":"delete_file","path":"b.py"}}',
                form="patch",
            ),
        ),
        "tool",
        (THOUGHT, PATCH, PATCH | {"id": "apc_2", "call_id": "call_3", "operation": GONE}),
    ),
    Case(
        "a gateway: a change without an operation or a call id",
        response({"type": "apply_patch_call", "id": "apc_1"}),
        (ToolCall(id="apc_1", name="apply_patch", arguments='{"operation":null}', form="patch"),),
        "tool",
        ({"type": "apply_patch_call", "id": "apc_1", "call_id": "apc_1"},),
    ),
    Case("silence", response(said()), (), "empty", (said(),)),
    Case("nothing", response(), (), "empty", ()),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_answer_becomes_a_neutral_turn(
    case: Case, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(case.response)
    turn = await model_of(HEADWAY_API="responses").answer(request_)
    assert turn.items == case.items
    assert turn.stop == case.stop
    assert turn.raw == case.raw
    assert turn.usage == case.usage
    assert (turn.model, turn.response_id) == ("m", "resp_1")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({}, TransientError),
        (response(status="failed", error={"code": "server_error", "message": "oops"}), TransientError),
        (response(status="failed", error=None), TransientError),
        (response(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}), TransientError),
        (response(status="failed", error={"code": "context_length_exceeded", "message": "big"}), ContextOverflow),
        (response(status="failed", error={"code": "invalid_prompt", "message": "bad"}), FatalModelError),
    ],
)
async def test_an_answer_that_tells_of_a_failure_is_one(
    body: Any, failure: type[Exception], server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(body)
    with pytest.raises(failure):
        await model_of(HEADWAY_API="responses").answer(request_)


async def test_the_request_keeps_nothing_on_the_server(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(response(said(words("ok"))))
    model = model_of(HEADWAY_API="responses")
    messages = (UserMessage("Do ü"), AssistantTurn((THOUGHT, CALL)), AssistantTurn(()), ToolOutput("call_1", "a\nb"))
    await model.answer(replace(request_, items=[model.encode(message) for message in messages], effort="low"))
    assert server.asked[0].path == "/v1/responses"
    assert server.asked[0].json == {
        "model": "some-model",
        "instructions": "You work.",
        "max_output_tokens": 1000,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": request_.agent,
        "reasoning": {"effort": "low"},
        "tools": [
            {
                "type": "function",
                "name": "shell",
                "description": "Runs a command.",
                "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
                "strict": False,
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Do ü"}]},
            THOUGHT,
            CALL,
            {"type": "function_call_output", "call_id": "call_1", "output": "a\nb"},
        ],
    }


async def test_a_long_agent_id_still_keys_the_cache(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(response())
    model = model_of(HEADWAY_API="responses")
    for agent in ("r/" + "a" * 90, "r/" + "a" * 91):
        await model.answer(replace(request_, agent=AgentId(agent)))
    keys = [asked.json["prompt_cache_key"] for asked in server.asked]
    assert [len(key) for key in keys] == [64, 64]
    assert len(set(keys)) == 2


TOOL = ToolSchema("apply_patch", "Changes files.", {"type": "object", "properties": {"patch": {"type": "string"}}})
DONE, FAILED = (
    ToolOutput("call_2", "a.py was edited", form="patch"),
    ToolOutput("call_2", "error: it is not there", failed=True, form="patch"),
)


async def test_a_model_that_is_trained_on_patches_has_the_tool_of_the_api(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(response(said(words("ok"))))
    model = model_of(HEADWAY_API="responses")
    items = [model.encode(message) for message in (AssistantTurn((THOUGHT, PATCH)), DONE, FAILED)]
    await model.answer(replace(request_, model="gpt-5.1", items=items, tools=(TOOL, *request_.tools)))
    asked = server.asked[0].json
    assert [tool["type"] for tool in asked["tools"]] == ["apply_patch", "function"]
    assert asked["tools"][0] == {"type": "apply_patch"}
    output = {"type": "apply_patch_call_output", "call_id": "call_2"}
    assert asked["input"] == [
        THOUGHT,
        PATCH,
        output | {"status": "completed", "output": "a.py was edited"},
        output | {"status": "failed", "output": "error: it is not there"},
    ]


async def test_another_model_has_it_as_a_function_and_reads_what_was_said_before_as_one(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(response(said(words("ok"))))
    model = model_of(HEADWAY_API="responses")
    items = [model.encode(message) for message in (AssistantTurn((THOUGHT, PATCH)), DONE)]
    await model.answer(replace(request_, items=items, tools=(TOOL,)))
    asked = server.asked[0].json
    assert [(tool["type"], tool["name"]) for tool in asked["tools"]] == [("function", "apply_patch")]
    assert asked["input"] == [
        THOUGHT,
        {"type": "function_call", "call_id": "call_2", "name": "apply_patch", "arguments": CHANGE.arguments},
        {"type": "function_call_output", "call_id": "call_2", "output": "a.py was edited"},
    ]
