"""The largest reply that is taken keeps no other agent waiting, whatever it holds: each piece that handles one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from headway.agents.loop import guards
from headway.agents.tools.catalogue import PLANNER_TOOLS, RESULTS
from headway.domain.errors import ToolError
from headway.eventlog.blobs import Blobs, plain
from headway.eventlog.codec import Codec
from headway.eventlog.redaction import redactor
from headway.models.adapter import Profile
from headway.models.chat import ChatAdapter
from headway.models.failures import Circumstance
from headway.models.lenient_json import MAX_MENDED_BYTES, MAX_PARTS, MAX_VALUES, MAX_WHOLE_BYTES, Unreadable, json_in
from headway.models.responses import ResponsesAdapter
from headway.models.text_calls.text_tool_calls import MOST_CHARS, text_calls
from headway.models.turn import AssistantTurn
from tests.agents.offered import REPLACING, arguments_of
from tests.support.events import call, event, reply
from tests.support.held import HELD_MS, assert_held_briefly, held

TOTAL_MS = 600.0
"""In a thread: others wait a turn of the interpreter at a time."""

SIZE = MAX_WHOLE_BYTES - 4_096
CODEC = Codec(RESULTS)
REDACT = redactor(["Zq9x-Very.Secret/Value+1"])
AT = Circumstance("http://x", "m")
CHAT, RESPONSES = ChatAdapter(Profile(), AT), ResponsesAdapter(Profile(), AT)

SHAPES = (
    "sk-.",
    "glpat-a",
    "://a:",
    "Bearer ",
    "eyJaaaaaaaaaa.",
    "ghp_",
    "sk-aaaaaaaa1aaaaaaaaaaaaaaaa ",
    "://sk- earer ",
)
KEY = "-----BEGIN RSA PRIVATE KEY-----\n"
TEXTS = {
    **{shape: shape * (SIZE // len(shape)) for shape in SHAPES},
    "keys": KEY * (SIZE // len(KEY)),
    "one long key": KEY + "MIIE0123456789ab\n" * (SIZE // 17),
    "headers of a key": KEY + "Proc-Type: " * (SIZE // 11),
    "one long token": "sk-" + "a1" * (SIZE // 2 - 10),
    "line ends": "\n" * (SIZE // 2),
    "words": "word " * (SIZE // 5),
    "four bytes": "\U0001f600" * (SIZE // 4),
}
LISTS = "[" + "[]," * (MAX_VALUES // 2 - 10) + "[]]"
WRONG_TASKS = '{"tasks":[' + "{}," * 9_000 + "{}]}"
KEYS = json.dumps({f"k{n}": 1 for n in range(MAX_VALUES - 10)})


def chat_reply(arguments: Any, content: Any = None) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "write_file", "arguments": arguments}}
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}]}


def response(arguments: Any) -> dict[str, Any]:
    return {"output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}]}


def written(text: str) -> str:
    return orjson.dumps({"path": "a", "content": text}).decode()


GREP = {schema.name: schema for schema in PLANNER_TOOLS.schemas if schema.name == "grep"}
BODIES = {
    "a long text": b'{"a":"' + b"x" * SIZE + b'"}',
    "escapes": b'{"a":"' + b"\\n" * (SIZE // 2) + b'"}',
    "escapes of letters": b'{"a":"' + b"\\u00e9" * (SIZE // 6) + b'"}',
    "halves of pairs": b'{"a":"' + b"\\ud800" * (MAX_MENDED_BYTES // 6 - 10) + b'"}',
    "more halves of pairs": b'{"a":"' + b"\\ud800" * (SIZE // 6) + b'"}',
    "no UTF-8": b'{"a":"' + b"\xff" * SIZE + b'"}',
    "lists": LISTS.encode(),
    "keys": KEYS.encode(),
    "numbers": b"[" + b"1.2345678901234567e-300," * (SIZE // 24) + b"1]",
    "parts": b"[" + b"[]," * (MAX_PARTS // 2) + b"[]]",
}
CALLS: dict[str, Callable[[], object]] = {
    **{f"redact {name}": lambda text=text: REDACT(text) for name, text in TEXTS.items()},  # type: ignore[misc]
    **{f"read {name}": lambda body=body: json_in(body) for name, body in BODIES.items()},  # type: ignore[misc]
    "decode pairs": lambda: CHAT.decode(chat_reply('{"a":"' + "\\ud83d\\ude00" * (SIZE // 24) + '"}')),
    "decode line ends": lambda: CHAT.decode(chat_reply(written("\n" * (SIZE // 4)))),
    "decode lists": lambda: CHAT.decode(chat_reply(LISTS)),
    "decode line ends of the other API": lambda: RESPONSES.decode(response(written("\n" * (SIZE // 4)))),
    "encode line ends": lambda: CHAT.encode(AssistantTurn((chat_reply(written("\n" * (SIZE // 4))),))),
    "arguments of line ends": lambda: arguments_of(REPLACING, "write_file", written("\n" * (SIZE // 2))),
    "arguments of lists": lambda: arguments_of(REPLACING, "write_file", LISTS),
    "arguments of keys": lambda: arguments_of(REPLACING, "write_file", KEYS),
    "arguments of wrong tasks": lambda: arguments_of(
        PLANNER_TOOLS, "spawn_tasks", '{"tasks":[' + "{}," * 9_000 + "{}]}"
    ),
    "key of keys": lambda: guards.call_key("f", KEYS),
    "plain parts": lambda: plain([[] for _ in range(MAX_PARTS)], REDACT),
    "say parts": lambda: reply(items=({"a": [[] for _ in range(MAX_PARTS)]},)).wire(),
    "read an event of parts": lambda: CODEC.body(
        "llm.response", reply(items=({"a": [[] for _ in range(MAX_PARTS)]},)).wire()
    ),
    "spoken fences": lambda: text_calls("```\n" * (MOST_CHARS // 4), GREP),
    "spoken functions": lambda: text_calls("<function=a><parameter=a></parameter></function>" * 2_000, GREP),
    "spoken tags": lambda: text_calls("<tool></tool>" * (MOST_CHARS // 13), GREP),
    "spoken beginnings of tags": lambda: text_calls("<" * MOST_CHARS, GREP),
    "spoken beginnings of marks": lambda: text_calls("<a" * (MOST_CHARS // 2), GREP),
    "spoken lists": lambda: text_calls("['', " * (MOST_CHARS // 5), GREP),
    "spoken ends of arguments": lambda: text_calls(
        "<function=grep><parameter=pattern>" + "</parameter></function> x " * (MOST_CHARS // 26), GREP
    ),
    "spoken objects": lambda: text_calls("{}\n" * (MOST_CHARS // 3), GREP),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_reply_keeps_the_other_agents_waiting(call: Callable[[], object]) -> None:
    assert_held_briefly(call, TOTAL_MS, ToolError, Unreadable)


def test_a_long_text_is_written_without_holding_the_lock(tmp_path: Path) -> None:
    blobs, text = Blobs(tmp_path), "\n" * (SIZE // 2)
    said = reply(text, call("shell", text), items=({"a": [text]},))
    log = event(said)
    assert held(lambda: CODEC.encode(log, said.wire(), blobs)).longest < HELD_MS
    assert len(CODEC.encode(log, said.wire(), blobs)) < 1_000
