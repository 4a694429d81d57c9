"""Conversations in the shape that a server takes: refused once, reshaped, remembered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.turn import AssistantTurn, ToolOutput, UserMessage
from tests.models.servers import Answer, Asked, Server

OK = {
    "model": "m",
    "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 5},
}
TOOLS = (ToolSchema("shell", "Runs.", {"type": "object"}), ToolSchema("list_dir", "Lists.", {"type": "object"}))


def call(id_: str, name: str = "shell", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def said(*calls: dict[str, Any], **more: Any) -> AssistantTurn:
    return AssistantTurn(({"role": "assistant", "content": None, "tool_calls": list(calls)} | more,))


TALK = (
    UserMessage("Do it."),
    UserMessage("Is it still right?"),
    said(call("call_aaaaaaaaaaaaaaaa"), call("call_b")),
    ToolOutput("call_aaaaaaaaaaaaaaaa", "one"),
    ToolOutput("call_b", "two"),
    UserMessage("You repeat yourself."),
    UserMessage("More."),
    said(call("call_c")),
    ToolOutput("call_c", "three"),
)


def roles(asked: Asked) -> list[str]:
    return [message["role"] for message in asked.json["messages"]]


def out_of_turn(asked: Asked) -> bool:
    pairs = zip(roles(asked), roles(asked)[1:], strict=False)
    return any(pair in {("tool", "user"), ("user", "user")} for pair in pairs)


def several(asked: Asked) -> bool:
    return any(len(message.get("tool_calls", ())) > 1 for message in asked.json["messages"])


def long_ids(asked: Asked) -> bool:
    ids = re.findall(r'"(?:tool_call_id|id)":"([^"]*)"', asked.body.decode())
    return not all(re.fullmatch("[a-zA-Z0-9]{9}", id_) for id_ in ids)


SERVERS: dict[str, tuple[Any, int, str]] = {
    "Mistral": (out_of_turn, 400, "Unexpected role 'user' after role 'tool'"),
    "a template in llama.cpp": (
        out_of_turn,
        500,
        "Jinja Exception: After the optional system message, conversation roles must alternate user/assistant/...",
    ),
    "Llama's templates": (several, 400, "Jinja Exception: This model only supports single tool-calls at once!"),
    "Databricks": (several, 400, "Multiple tool calls are not supported."),
    "Mistral's ids": (long_ids, 400, "Tool call id was call_b but must be a-z, A-Z, 0-9, with a length of 9."),
    "OpenAI o1": (lambda asked: "system" in roles(asked), 400, "'messages[0].role' does not support 'system'."),
    "neither": (
        lambda asked: {"system", "developer"} & {*roles(asked)},
        400,
        "'system' is not supported, 'developer' is not one of user, assistant",
    ),
}


@pytest.mark.parametrize(("refuses", "status", "words"), SERVERS.values(), ids=SERVERS)
async def test_a_shape_is_refused_once_and_never_sent_again(
    refuses: Any, status: int, words: str, server: Server, tmp_path: Path
) -> None:
    server.answer = lambda asked: Answer({"error": {"message": words}}, status) if refuses(asked) else Answer(OK)
    told: list[str] = []
    gates = CircuitBreakers(tmp_path)
    for process in range(2):
        async with Model(endpoint_from({"OPENAI_BASE_URL": server.url}), gates, told.append) as model:
            items = [model.encode(message) for message in TALK]
            before = len(server.asked)
            await model.answer(Request("m", "You work.", items, AgentId("r/a"), TOOLS))
            assert (len(server.asked) > before + 1) == (process == 0)
            assert len(server.asked) <= before + 3
    gates.close()
    messages = server.asked[-1].json["messages"]
    text = json.dumps(messages)
    for words_ in ("You work.", "Do it.", "still right?", "one", "two", "You repeat yourself.", "More.", "three"):
        assert text.count(words_) == 1, "nothing is lost"
    ids = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == ids
    assert len(set(ids)) == 3
    assert 1 <= len(told) <= 2


async def test_every_refusal_of_one_server_together(server: Server, tmp_path: Path) -> None:
    """Mistral's API refuses several shapes, one after the other."""
    refusing = [*SERVERS.values()][:5]

    def answer(asked: Asked) -> Answer:
        for refuses, status, words in refusing:
            if refuses(asked):
                return Answer({"error": {"message": words}}, status)
        return Answer(OK)

    server.answer = answer
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url})) as model:
        items = [model.encode(message) for message in TALK]
        turn = await model.answer(Request("m", "You work.", items, AgentId("r/a"), TOOLS))
    assert len(turn.conceded) == 3


@pytest.mark.parametrize(
    ("name", "tool", "sent"),
    [
        ("shell<|channel|>commentary", "shell", "shell"),
        ("functions.shell", "shell", "shell"),
        ("functions.shell:3", "shell", "shell"),
        ("default_api:list_dir", "list_dir", "list_dir"),
        ("list dir", "list_dir", "list_dir"),
        ("ListDir", "list_dir", "list_dir"),
        ("shell", "shell", "shell"),
        ("consult.the oracle", "consult.the oracle", "consult_the_oracle"),
        ("", "", "nameless"),
        ("x" * 85, "x" * 85, "x" * 64),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_name_is_the_tool_that_was_meant_and_goes_back_as_servers_take_it(
    api: str, name: str, tool: str, sent: str, server: Server
) -> None:
    made = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
    message = {"content": None, "tool_calls": [call("c", name)]}
    chat = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    server.answer = Answer(chat if api == "chat" else {"status": "completed", "output": [made]})
    env = {"OPENAI_BASE_URL": server.url, "HEADWAY_API": api}
    async with Model(endpoint_from(env)) as model:
        turn = await model.answer(Request("m", "You work.", (), AgentId("r/a"), TOOLS))
        assert [each.name for each in turn.calls] == [tool]
        back = json.loads(model.encode(AssistantTurn(turn.raw)))
    assert (back["tool_calls"][0]["function"]["name"] if api == "chat" else back["name"]) == sent


@pytest.mark.parametrize(
    "message",
    [{"content": ""}, {"content": None}, {"content": "\n\n"}, {"content": "", "reasoning_content": "Hm."}],
)
async def test_an_empty_reply_goes_back_with_a_word_in_it(message: dict[str, Any], server: Server) -> None:
    server.answer = Answer({"choices": [{"message": message, "finish_reason": "stop"}]})
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url})) as model:
        turn = await model.answer(Request("m", "You work.", (), AgentId("r/a"), TOOLS))
        assert turn.stop == "empty"
        back = json.loads(model.encode(AssistantTurn(turn.raw)))
    assert back["content"].strip()
    assert back.get("reasoning_content") == message.get("reasoning_content")


async def test_an_empty_thought_goes_back_as_it_came(server: Server) -> None:
    message = {"content": None, "reasoning_content": "", "tool_calls": [call("c")]}
    server.answer = Answer({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url})) as model:
        turn = await model.answer(Request("m", "You work.", (), AgentId("r/a"), TOOLS))
    assert turn.raw[0]["reasoning_content"] == ""


def thought(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": "gA"} | more


async def test_a_thought_that_led_to_nothing_is_not_sent(server: Server) -> None:
    server.answer = Answer({"status": "incomplete", "output": [thought(1)]})
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url, "HEADWAY_API": "responses"})) as model:
        turn = await model.answer(Request("m", "You work.", (), AgentId("r/a"), TOOLS))
        items = [model.encode(each) for each in (UserMessage("Do it."), AssistantTurn(turn.raw), UserMessage("Go on."))]
        await model.answer(Request("m", "You work.", items, AgentId("r/a"), TOOLS))
    assert [item["type"] for item in server.asked[-1].json["input"]] == ["message", "message"]


UNREAD = [
    (400, {"message": "The encrypted content could not be verified.", "code": "invalid_encrypted_content"}),
    (404, {"message": "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."}),
]


@pytest.mark.parametrize(("status", "error"), UNREAD)
async def test_thoughts_that_the_server_cannot_read_are_left_out_for_that_agent(
    status: int, error: dict[str, Any], server: Server, tmp_path: Path
) -> None:
    made = {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"}
    done = Answer({"status": "completed", "output": [made]})
    server.answer = lambda asked: Answer({"error": error}, status) if b"rs_1" in asked.body else done
    gates = CircuitBreakers(tmp_path)
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url, "HEADWAY_API": "responses"}), gates) as model:
        conversation = (UserMessage("Do it."), AssistantTurn((thought(1), made)), ToolOutput("c", "done"))
        items = [model.encode(message) for message in conversation]
        for asked in (2, 3):
            await model.answer(Request("m", "You work.", items, AgentId("r/a"), TOOLS))
            assert len(server.asked) == asked
        other = [model.encode(AssistantTurn((thought(2), made))), items[-1]]
        await model.answer(Request("m", "You work.", other, AgentId("r/b"), TOOLS))
    gates.close()
    kinds = [item["type"] for item in server.asked[2].json["input"]]
    assert kinds == ["message", "function_call", "function_call_output"]
    assert b"rs_2" in server.asked[-1].body, "another agent's may be read"
