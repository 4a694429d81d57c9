"""The same shapes on the Responses API, for servers that translate it and refuse what a template refuses."""

import re
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.reshaping import IDS, ORDER, SEVERAL
from headway.models.reshaping_items import SHAPES, reshaped_items
from headway.models.turn import AssistantTurn
from tests.models.servers import Answer, Asked, Server

Part = dict[str, Any]
SHORT_ID = re.compile("[a-zA-Z0-9]{9}")


@st.composite
def conversations(draw: st.DrawFn) -> list[list[Part]]:
    """Each message as the items of it; every word and id is there once."""
    conversation: list[list[Part]] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(("user", "words", 0, 1, 2, 3)), max_size=12))):
        match kind:
            case "user":
                content: Any = [{"type": "input_text", "text": f"user {number}."}]
                conversation.append([{"type": "message", "role": "user", "content": content}])
            case "words":
                content = [{"type": "output_text", "text": f"model {number}."}]
                conversation.append([{"type": "message", "role": "assistant", "content": content}])
            case int(calls):
                ids = [f"call_{number}_{each}" for each in range(calls)]
                thought: list[Part] = [{"type": "reasoning", "id": f"rs_{number}"}] if calls else []
                made: list[Part] = [
                    {"type": "function_call", "call_id": id_, "name": "shell", "arguments": "{}"} for id_ in ids
                ]
                conversation.append([*thought, *made])
                outputs: list[Part] = [
                    {"type": "function_call_output", "call_id": id_, "output": f"tool {id_}."} for id_ in ids
                ]
                conversation.extend([output] for output in outputs)
    return [parts for parts in conversation if parts]


def kind_of(part: Part) -> str:
    return "tool" if "output" in part else "user" if part.get("role") == "user" else "model"


@given(conversations(), st.sets(st.sampled_from(sorted(SHAPES))))
def test_a_conversation_loses_its_shapes_and_no_word(conversation: list[list[Part]], without: set[str]) -> None:
    items = [b",".join(map(orjson.dumps, parts)) for parts in conversation]
    text = reshaped_items(items, frozenset(without)).decode()
    shaped: list[Part] = orjson.loads(f"[{text}]")
    for word in re.findall(r"(?:user|model|tool) [\w ]+\.", str(conversation)):
        assert text.count(word) == 1
    assert [part["id"] for part in shaped if part["type"] == "reasoning"] == re.findall(r"rs_\d+", str(conversation))
    kinds = [kind_of(part) for part in shaped]
    if ORDER.name in without:
        assert not {("tool", "user"), ("user", "user")} & set(pairwise(kinds))
    calls = [part["call_id"] for part in shaped if part["type"] == "function_call"]
    assert len(set(calls)) == len(calls)
    assert [part["call_id"] for part in shaped if "output" in part] == calls, "each answer has its call, in order"
    if IDS.name in without:
        assert all(SHORT_ID.fullmatch(id_) for id_ in calls)
    if SEVERAL.name in without:
        types = [part["type"] for part in shaped]
        assert ("function_call", "function_call") not in set(pairwise(types))


SERVERS: dict[str, tuple[str, str]] = {
    ORDER.name: ("Conversation roles must alternate user/assistant/...", '"output":"one"},{"type":"message"'),
    SEVERAL.name: ("This model only supports single tool-calls at once!", '"parallel_tool_calls":true'),
    IDS.name: ("Tool call id was call_a but must be a-z, A-Z, 0-9, with a length of 9.", "call_a"),
}


@pytest.mark.parametrize(("words", "refused"), SERVERS.values(), ids=SERVERS)
async def test_a_shape_is_refused_once(words: str, refused: str, server: Server) -> None:
    done = Answer({"status": "completed", "output": [{"type": "message", "content": "fine"}]})

    def answer(asked: Asked) -> Answer:
        return Answer({"error": {"message": words}}, 400) if refused in asked.body.decode() else done

    server.answer = answer
    made = [
        {"type": "function_call", "call_id": id_, "name": "shell", "arguments": "{}"} for id_ in ("call_a", "call_b")
    ]
    outputs = [
        {"type": "function_call_output", "call_id": id_, "output": text}
        for id_, text in (("call_a", "two"), ("call_b", "one"))
    ]
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
    items = [b",".join(map(orjson.dumps, made)), *map(orjson.dumps, (*outputs, user))]
    tools = (ToolSchema("shell", "Runs.", {"type": "object"}),)
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url, "HEADWAY_API": "responses"})) as model:
        for asked in (2, 3):
            await model.answer(Request("m", "You work.", items, AgentId("r/a"), tools))
            assert len(server.asked) == asked


THOUGHT: Part = {"type": "reasoning", "id": "rs_1", "summary": []}
CALL: Part = {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"}


def silent(*texts: str) -> Part:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text} for text in texts],
    }


@pytest.mark.parametrize(
    ("output", "sent"),
    [
        ([silent()], ["message"]),
        ([silent("")], ["message"]),
        ([silent("\n", " ")], ["message"]),
        ([THOUGHT, silent("")], ["reasoning", "message"]),
        ([silent(""), CALL], ["function_call"]),
        ([THOUGHT, silent(""), CALL], ["reasoning", "function_call"]),
        ([silent(""), silent("I go on.")], ["message"]),
    ],
)
async def test_no_message_without_a_word_goes_back(output: list[Part], sent: list[str], server: Server) -> None:
    server.answer = Answer({"status": "completed", "output": output})
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url, "HEADWAY_API": "responses"})) as model:
        turn = await model.answer(Request("m", "You work.", (), AgentId("r/a")))
        back: list[Part] = orjson.loads(b"[" + model.encode(AssistantTurn(turn.raw)) + b"]")
    assert [part["type"] for part in back] == sent
    assert all(part["content"][-1]["text"].strip() for part in back if part["type"] == "message")
