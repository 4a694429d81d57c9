"""What is marked for a server's prompt cache, for whom, and for how long."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from headway.models.adapter import Profile, Request, Reuse
from headway.models.chat import ChatAdapter
from headway.models.client import Model
from headway.models.failures import Circumstance
from headway.models.prompt_cache import BREAKPOINT, CONTROL, LONGER, NO_MARKS, OPTIONS, marks_of
from headway.models.reshaping import DEVELOPER, SYSTEM
from headway.models.responses import ResponsesAdapter
from headway.models.turn import AssistantTurn, Message, ToolOutput, UserMessage
from tests.models.servers import Answer, Asked, Server
from tests.models.test_concessions import CHAT, error, opened

OPENAI, ROUTER = "https://api.openai.com/v1", "https://openrouter.ai/api/v1"
AZURE, ALI = "https://x.openai.azure.com/openai/v1", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
SHARED, OWN = "For all: ü.\n\n", "For one."
FIRST = UserMessage(SHARED + OWN)
REUSE = Reuse("workers-0", len(SHARED))
EPHEMERAL = {"type": "ephemeral"}


def reply(number: int) -> AssistantTurn:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    return AssistantTurn(({"role": "assistant", "content": None, "tool_calls": [call]},))


def steps(count: int) -> list[Message]:
    """A conversation of so many steps."""
    return [FIRST, *(m for n in range(count) for m in (reply(n), ToolOutput(f"c{n}", f'answer "{n}"')))]


def chat(request: Request, address: str, *messages: Message, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    adapter = ChatAdapter(Profile(), Circumstance(address))
    body: dict[str, Any] = orjson.loads(adapter.body(replace(request, items=[*map(adapter.encode, messages)]), without))
    return body


def marks_in(value: Any, field: str) -> int:
    if isinstance(value, dict):
        return int(field in value) + sum(marks_in(inner, field) for inner in value.values())
    return sum(marks_in(inner, field) for inner in value) if isinstance(value, list) else 0


def plain(value: Any) -> Any:
    """The same without marks."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name not in {CONTROL, BREAKPOINT}}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("model", "address", "api", "field", "tail"),
    [
        ("gpt-6.1-sol", OPENAI, "responses", BREAKPOINT, False),
        ("gpt-5.6", OPENAI, "chat", BREAKPOINT, False),
        ("gpt-5.10-mini", AZURE, "responses", BREAKPOINT, False),
        ("gpt-5.5", OPENAI, "responses", "", False),
        ("gpt-4o", OPENAI, "chat", "", False),
        ("anthropic/claude-sonnet-5.5", ROUTER, "chat", CONTROL, True),
        ("Claude-Opus", "http://localhost:4000/v1", "chat", CONTROL, True),
        ("claude-opus-5", "https://api.anthropic.com/v1", "chat", "", False),
        ("qwen/qwen3-coder", ROUTER, "chat", CONTROL, True),
        ("qwen4-plus", ALI, "chat", CONTROL, True),
        ("qwen3-coder", "http://localhost:8000/v1", "chat", "", False),
        ("openai/gpt-5.6-sol", ROUTER, "chat", CONTROL, False),
        ("deepseek-v4", "https://api.deepseek.com", "chat", "", False),
    ],
)
def test_who_wants_marks(model: str, address: str, api: Any, field: str, tail: bool) -> None:
    marks = marks_of(model, address, api)
    assert (marks.field, marks.tail) == (field, tail)


def test_most_models_get_the_conversation_as_it_is(request_: Request) -> None:
    body = chat(replace(request_, reuse=REUSE), "http://box/v1", *steps(2))
    assert body["messages"][1] == {"role": "user", "content": SHARED + OWN}
    assert marks_of("some-model", "http://box/v1", "chat") is NO_MARKS


def test_openai_is_shown_where_the_shared_part_ends(request_: Request) -> None:
    adapter = ResponsesAdapter(Profile(), Circumstance(OPENAI))
    request = replace(request_, model="gpt-6.1-sol", reuse=REUSE, items=[adapter.encode(FIRST)])
    body = orjson.loads(adapter.body(request))
    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": SHARED, BREAKPOINT: {"mode": "explicit"}},
        {"type": "input_text", "text": OWN},
    ]
    assert OPTIONS not in body
    assert "prompt_cache_retention" not in body
    assert BREAKPOINT in adapter.sent(request)
    assert not marks_in(orjson.loads(adapter.body(request, frozenset({BREAKPOINT}))), BREAKPOINT)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_claude_is_shown_the_shared_part_and_the_ends_of_two_requests(count: int, request_: Request) -> None:
    claude = replace(request_, model="anthropic/claude-sonnet-5.5", reuse=REUSE)
    messages = chat(claude, ROUTER, *steps(count))["messages"]
    first = messages[1]["content"]
    assert first[0] == {"type": "text", "text": SHARED, CONTROL: EPHEMERAL}
    assert messages[-1]["content"][-1][CONTROL] == EPHEMERAL
    assert marks_in(messages, CONTROL) == min(2 + count, 3), "at most four are allowed"
    if count:
        before = chat(claude, ROUTER, *steps(count - 1))["messages"]
        assert messages[len(before) - 1] == before[-1], "the end of the request before is marked as it was then"
        assert plain(messages[: len(before)]) == plain(before), "and nothing else changes its form"
    assert "".join(part["text"] for part in first) == SHARED + OWN
    assert [m["content"][0]["text"] for m in messages if m["role"] == "tool"] == [f'answer "{n}"' for n in range(count)]


def test_a_system_message_in_the_user_s_role_is_not_taken_for_the_first_one(request_: Request) -> None:
    claude = replace(request_, model="claude-x", reuse=REUSE)
    messages = chat(claude, ROUTER, FIRST, without=frozenset({SYSTEM.name, DEVELOPER.name}))["messages"]
    assert [part["text"] for part in messages[1]["content"]] == [SHARED, OWN]
    assert messages[0] == {"role": "user", "content": request_.system}


def test_an_empty_text_is_not_marked(request_: Request) -> None:
    claude = replace(request_, model="claude-x", reuse=REUSE)
    messages = chat(claude, ROUTER, FIRST, reply(0), ToolOutput("c0", ""))["messages"]
    assert messages[-1]["content"] == ""


def test_claude_keeps_its_cache_when_words_are_wanted(request_: Request) -> None:
    wanted = replace(request_, tool_choice="none", reuse=REUSE)
    assert chat(replace(wanted, model="claude-x"), ROUTER, FIRST)["tool_choice"] == "auto"
    assert chat(replace(wanted, model="m"), ROUTER, FIRST)["tool_choice"] == "none"


@pytest.mark.parametrize(("pause_s", "ttl"), [(0, None), (299, None), (301, "1h"), (3601, None)])
def test_a_pause_that_outlives_the_cache_asks_for_a_longer_life(
    pause_s: float, ttl: str | None, request_: Request
) -> None:
    claude = replace(request_, model="claude-x", reuse=replace(REUSE, pause_s=pause_s))
    for without in (frozenset[str](), frozenset({LONGER})):
        mark = chat(claude, ROUTER, FIRST, without=without)["messages"][1]["content"][0][CONTROL]
        assert mark.get("ttl") == (ttl if not without else None)


@pytest.mark.parametrize(
    ("pause_s", "model", "options"),
    [
        (1799, "gpt-6.1-sol", None),
        (1801, "gpt-6.1-sol", {"ttl": "12h"}),
        (13 * 3600, "gpt-6.1-sol", None),
        (1801, "gpt-5.5", None),
    ],
)
def test_so_does_one_at_openai(pause_s: float, model: str, options: Any, request_: Request) -> None:
    adapter = ResponsesAdapter(Profile(), Circumstance(OPENAI))
    reuse = replace(REUSE, pause_s=pause_s)
    request = replace(request_, model=model, reuse=reuse, items=[adapter.encode(FIRST)])
    body = orjson.loads(adapter.body(request))
    assert body.get(OPTIONS) == options
    assert (OPTIONS in adapter.sent(request)) == (options is not None)
    assert adapter.write_factor(request) == (2.0 if options else 1.0)
    assert adapter.write_factor(request, frozenset({OPTIONS})) == 1.0


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("messages.1.content.0.cache_control: Extra inputs are not permitted", 0),
        ("Unsupported parameter: 'cache_control'", 0),
        ("Invalid type for messages[2].content: content must be a string", 0),
        ("messages.1.content.0.cache_control.ttl: '1h' is not supported", 2),
    ],
)
async def test_what_is_refused_is_left_out_for_good(
    words: str, left: int, server: Server, tmp_path: Path, request_: Request
) -> None:
    def answer(asked: Asked) -> Answer:
        found = marks_in(asked.json, "ttl" if "ttl" in words else CONTROL)
        return error(words) if found else Answer(CHAT)

    server.answer = answer
    claude = replace(request_, model="claude-x", reuse=replace(REUSE, pause_s=400))
    async with opened(server, tmp_path, "chat", []) as model:
        request = replace(claude, items=[model.encode(FIRST)])
        await model.answer(request)
        await model.answer(request)
    assert len(server.asked) == 3
    assert marks_in(server.asked[-1].json, CONTROL) == left


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20}},
        {"prompt_tokens_details": {"cached_tokens": 10, "cache_creation_input_tokens": 20}},
        {"prompt_tokens_details": {"cached_tokens": 10, "cache_creation_tokens": 20}},
        {"cache_read_input_tokens": 10, "cache_creation_input_tokens": 20},
        {"prompt_cache_hit_tokens": 10, "prompt_tokens_details": {"cache_write_tokens": 20}},
    ],
    ids=["OpenRouter", "DashScope", "LiteLLM", "Anthropic's names", "DeepSeek"],
)
async def test_what_a_cache_did_is_read_under_each_name(
    usage: dict[str, Any], server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(CHAT | {"usage": {"prompt_tokens": 100, "completion_tokens": 5, **usage}})
    turn = await model_of().answer(request_)
    assert (turn.usage.input, turn.usage.cached, turn.usage.written) == (100, 10, 20)
