"""Tool calls that a model wrote as text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.handoff import HandoffStatus
from headway.models.endpoint import Api
from headway.models.text_calls.text_tool_calls import MOST_CALLS, text_calls, with_text_calls
from headway.models.turn import Text, ToolCall, Turn
from tests.agents.offered import EVERY_TOOL
from tests.agents.stage import Stage, say, step, use

SCHEMAS = {schema.name: schema for schema in EVERY_TOOL.schemas}
TOOLS = {name: SCHEMAS[name] for name in ("shell", "finish", "read_file")}
CALL = '{"name": "shell", "arguments": {"command": "ls"}}'
LS = ("shell", {"command": "ls"})


def found(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for name, arguments in text_calls(text, TOOLS)]


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"I will look.\n<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}",
        f"I will look.\n```json\n{CALL}\n```\nThen I go on.",
        f"```\n{CALL}\n```",
        '```json\n{"tool": "shell", "parameters": {"command": "ls"}}\n```',
        '```json\n{"type": "function", "function": {"name": "shell", "arguments": "{\\"command\\": \\"ls\\"}"}}\n```',
        "<function=shell>\n<parameter=command>\nls\n</parameter>\n</function>",
        f"<function_call>[{CALL}]</function_call>",
    ],
)
def test_the_usual_forms_are_read(text: str) -> None:
    assert found(text) == [LS]


def test_several_calls_keep_their_order() -> None:
    other = '{"name": "read_file", "arguments": {"path": "a"}}'
    wanted = [LS, ("read_file", {"path": "a"})]
    assert found(f"<tool_call>{CALL}</tool_call>\n<tool_call>{other}</tool_call>") == wanted
    assert found(f"```json\n{CALL}\n{other}\n```") == wanted
    assert len(found(f"[{', '.join([CALL] * 50)}]")) == MOST_CALLS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would run `ls` now.",
        "The manifest is\n```json\n" + '{"name": "my-shell", "arguments": {}}' + "\n```",
        '```json\n{"name": "shell", "arguments": ["ls"]}\n```',
        '```json\n{"name": "shell", "arguments": {"command": "ls"\n```',
        f"The example {CALL} stands in a sentence.",
        "<function=fly></function>",
        "{" * 5000,
    ],
)
def test_what_is_no_call_is_left_alone(text: str) -> None:
    assert found(text) == []


@given(st.text(alphabet='<>{}[]`\n"= :,abtoolcfuninsh_/json', max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(text_calls(text, TOOLS), list)


def reply(raw: dict[str, Any], **more: Any) -> Turn:
    return Turn(**{"items": (Text(text=CALL),), "raw": (raw,), "stop": "text"} | more)


def test_the_reply_goes_back_as_the_call_that_was_meant() -> None:
    made = with_text_calls(reply({"role": "assistant", "content": CALL}), TOOLS.values())
    assert made.stop == "tool"
    (call,) = made.calls
    assert (call.name, call.arguments) == ("shell", '{"command":"ls"}')
    assert made.raw[0]["tool_calls"][0]["id"] == call.id
    assert made.raw[0]["content"] == CALL


def test_on_responses_the_call_is_an_item_behind_the_message() -> None:
    message = {"id": "msg_1", "type": "message", "role": "assistant"}
    made = with_text_calls(reply(message), TOOLS.values())
    (call,) = made.calls
    item = {"type": "function_call", "call_id": call.id, "name": "shell", "arguments": '{"command":"ls"}'}
    assert made.raw == (message, item)


@pytest.mark.parametrize(
    "given_reply",
    [
        reply({"role": "assistant"}, items=(Text(text=CALL), ToolCall(id="1", name="shell", arguments="{}"))),
        reply({"role": "assistant"}, stop="length"),
        reply({"role": "assistant"}, stop="refusal"),
    ],
)
def test_other_replies_stay_as_they_are(given_reply: Turn) -> None:
    assert with_text_calls(given_reply, TOOLS.values()) is given_reply


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_worker_that_writes_its_calls_as_text_works_all_the_same(stage: Stage, api: Api) -> None:
    stage.api = api
    write = json.dumps({"name": "write_file", "arguments": {"path": "one.txt", "content": "1\n"}})
    finish = json.dumps({"name": "finish", "arguments": {"status": "done", "summary": "It is there."}})
    stage.serve(
        tasks={
            "Write a file": [
                say(f"<tool_call>{write}</tool_call>"),
                step(use("land", message="Write one")),
                say(f"That is all.\n```json\n{finish}\n```"),
            ]
        }
    )
    outcome, handoff = await stage.done(stage.task())
    assert (outcome.status, outcome.summary) == (HandoffStatus.DONE, "It is there.")
    assert len(handoff.facts.landed) == 1
    assert stage.texts(stage.task().me, "reminder") == []


def drafted(name: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{}}}}\n</tool_call>'


DRAFTS: dict[str, tuple[str, list[str]]] = {
    "a draft": (f"<think>\nPerhaps\n{drafted('land')}\nNo.\n</think>\nI look first.", []),
    "Mistral's marks": (f"[THINK]{drafted('land')}\n[/THINK]\nNo.", []),
    "another word": (f"<thinking>\n{drafted('land')}\n</thinking>No.", []),
    "no beginning": (f"Perhaps\n{drafted('land')}\nNo.\n</think>\nI look first.", []),
    "no end": (f"<think>\nPerhaps\n{drafted('land')}\nor", []),
    "a draft and a call": (f"<think>\n{drafted('land')} or rather\n</think>\n{drafted('list_dir')}", ["list_dir"]),
    "thoughts on one line": (f"<think>no</think>{drafted('list_dir')}", ["list_dir"]),
    "two thoughts": (f"<think>a</think>\n<think>{drafted('land')}</think>\n{drafted('list_dir')}", ["list_dir"]),
    "a mark within a call": (
        '<tool_call>{"name": "land", "arguments": {"message": "Take </think> and <think> out"}}</tool_call>',
        ["land"],
    ),
}


@pytest.mark.parametrize(("text", "names"), DRAFTS.values(), ids=DRAFTS)
def test_a_call_that_was_drafted_in_a_thought_is_none(text: str, names: list[str]) -> None:
    assert [name for name, _ in text_calls(text, {name: SCHEMAS[name] for name in ("land", "list_dir")})] == names


def test_a_function_may_hold_its_arguments_as_an_object() -> None:
    text = '<function=land>{"message": "Do it"}</function>'
    assert [(name, json.loads(raw)) for name, raw in text_calls(text, SCHEMAS)] == [("land", {"message": "Do it"})]
