"""What a server does not take of a request is left out, said once, and remembered."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headway.models.adapter import Request, ToolSchema
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.failures import FatalModelError
from headway.models.turn import AssistantTurn
from tests.models.servers import Answer, Asked, Server

CHAT = {
    "model": "m",
    "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 5},
}
RESPONSE = {
    "status": "completed",
    "model": "m",
    "output": [],
    "usage": {"input_tokens": 300, "output_tokens": 5, "total_tokens": 305},
}
THOUGHT = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
CODED = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gA"}

SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}


def error(message: str, status: int = 400, **more: Any) -> Answer:
    return Answer({"error": {"message": message, "param": None} | more}, status)


PYDANTIC = [
    {"type": "extra_forbidden", "loc": ["body", "parallel_tool_calls"], "msg": "Extra inputs are not permitted"}
]
CASES: dict[str, tuple[str, str, Answer]] = {
    "OpenAI, an effort of another model": (
        "responses",
        "reasoning",
        error("Unsupported value: 'max' is not supported.", param="reasoning.effort", code="unsupported_value"),
    ),
    "OpenAI, Chat, a newer model": (
        "chat",
        "max_tokens",
        error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens"),
    ),
    "OpenAI, no reasoning model": (
        "responses",
        "include",
        error("Encrypted content is not supported with this model.", param="include"),
    ),
    "vLLM, of an older version": (
        "responses",
        "encrypted_content",
        error("Unexpected field input[1].encrypted_content", param="input[1].encrypted_content"),
    ),
    "Mistral, by pydantic's words": ("chat", "parallel_tool_calls", Answer({"detail": PYDANTIC}, 422)),
    "a gateway, without param": ("responses", "prompt_cache_key", error("Unknown parameter: 'prompt_cache_key'.")),
    "an older gateway": ("responses", "store", error("Unrecognized request argument supplied: store")),
    "Groq, thoughts in messages": (
        "chat",
        "reasoning_content",
        error("'messages.0' : property 'reasoning_content' is unsupported"),
    ),
    "a server that only knows its own choice": ("chat", "tool_choice", error("tool_choice is not supported")),
}


@asynccontextmanager
async def opened(server: Server, folder: Path, api: str, said: list[str]) -> AsyncIterator[Model]:
    gates = CircuitBreakers(folder)
    env = {"OPENAI_BASE_URL": server.url, "HEADWAY_API": api}
    async with Model(endpoint_from(env), gates, said.append) as model:
        yield model
    gates.close()


def names_in(value: Any) -> Iterator[str]:
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield str(name)
        yield from names_in(inner)


@pytest.mark.parametrize("case", CASES)
async def test_it_is_left_out_after_one_refusal_by_every_process_and_said_once(
    case: str, server: Server, tmp_path: Path, request_: Request
) -> None:
    api, name, refusal = CASES[case]

    def answer(asked: Asked) -> Answer:
        return refusal if name in set(names_in(asked.json)) else Answer(CHAT if api == "chat" else RESPONSE)

    server.answer = answer
    said: list[str] = []
    async with opened(server, tmp_path, api, said) as model:
        earlier = model.encode(AssistantTurn((THOUGHT,) if api == "chat" else (CODED, SAID)))
        request = replace(request_, effort="max", items=[earlier])
        first = await model.answer(request)
        assert first.conceded == (name,)
        assert (await model.answer(request)).conceded == ()
    async with opened(server, tmp_path, api, said) as another:
        await another.answer(request)
    assert len(server.asked) == 1 + 3
    assert len(said) == 1
    assert f"'{name}'" in said[0]


async def test_the_other_name_of_the_limit_takes_its_place(server: Server, tmp_path: Path, request_: Request) -> None:
    server.answer = lambda asked: (
        error("Unsupported parameter", param="max_tokens") if "max_tokens" in asked.json else Answer(CHAT)
    )
    async with opened(server, tmp_path, "chat", []) as model:
        await model.answer(request_)
    assert server.asked[1].json["max_completion_tokens"] == request_.max_output


LIMITS = [
    "max_tokens is too large: 8192. This model supports at most 4096 completion tokens, whereas you provided 8192.",
    "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for this model",
    "<400> InvalidParameter: Range of max_tokens should be [1, 4096]",
    "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is below the window",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]",
    "max_output_tokens: 8192 is more than the 4,096 that the model takes",
]


@pytest.mark.parametrize("words", LIMITS)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_limit_of_the_reply_beyond_the_models_own_is_lowered_to_it(
    api: str, words: str, server: Server, tmp_path: Path, request_: Request
) -> None:
    def answer(asked: Asked) -> Answer:
        limits = [value for name, value in asked.json.items() if name.startswith("max_")]
        if limits != [4096]:
            return error(words, param="max_tokens")
        return Answer(CHAT if api == "chat" else RESPONSE)

    server.answer = answer
    async with opened(server, tmp_path, api, []) as model:
        for _ in range(2):
            await model.answer(replace(request_, max_output=8192))
    assert len(server.asked) == 3, "it is remembered"


async def test_a_server_that_minds_everything_is_not_asked_for_ever(
    server: Server, tmp_path: Path, request_: Request
) -> None:
    server.answer = lambda asked: error(f"Unknown parameter: '{max(asked.json)}' max_tokens tool_choice")
    async with opened(server, tmp_path, "chat", []) as model:
        with pytest.raises(FatalModelError):
            await model.answer(request_)
    assert len(server.asked) <= 8


@pytest.mark.parametrize(
    "words",
    [
        "Invalid schema for function 'shell': an array needs items",
        "The reasoning of your message is invalid; include more of it in the store",
        "messages: roles must alternate",
    ],
)
async def test_words_that_name_no_parameter_are_fatal(
    words: str, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = error(words)
    with pytest.raises(FatalModelError):
        await model_of(HEADWAY_API="responses").answer(replace(request_, effort="low"))
    assert len(server.asked) == 1


TAGS = "Input tag 'apply_patch' found using 'type' does not match any of the expected tags: 'function', 'web_search'"


@pytest.mark.parametrize(
    "refusal",
    [
        error("Tool 'apply_patch' is not supported with this model.", param="tools"),
        error("The apply_patch tool is not supported.", param=None),
        error("Invalid value. Supported values are: 'function'.", param="tools[0].type"),
        Answer({"detail": [{"type": "union_tag_invalid", "loc": ["body", "tools", 0], "msg": TAGS}]}, 422),
    ],
    ids=["OpenAI, another model", "a gateway in its own words", "by its place", "by pydantic's words"],
)
async def test_a_tool_of_the_api_that_a_server_lacks_is_offered_as_a_function(
    server: Server, tmp_path: Path, request_: Request, refusal: Answer
) -> None:
    server.answer = lambda asked: refusal if asked.json["tools"][0]["type"] == "apply_patch" else Answer(RESPONSE)
    tool = ToolSchema("apply_patch", "Changes files.", {"type": "object", "properties": {"patch": {"type": "string"}}})
    request = replace(request_, model="gpt-5.1", tools=(tool, *request_.tools))
    said: list[str] = []
    async with opened(server, tmp_path, "responses", said) as model:
        assert (await model.answer(request)).conceded == ("apply_patch",)
        assert (await model.answer(request)).conceded == ()
    assert [tool["name"] for tool in server.asked[1].json["tools"]] == ["apply_patch", "shell"]
    assert len(server.asked) == 3
    assert len(said) == 1
