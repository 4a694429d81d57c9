"""Other shapes of the same conversation on Chat Completions, for servers and templates that do not take ours. Pure.

A shape is found out by a refusal, remembered for the model and its address, and applied to each later request. The
conversation itself stays as it is.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson


class Shape(NamedTuple):
    """Something that a server may not take.

    Attributes:
        name: In words for people.
        source: Servers that refuse it.
        words: Words of such a refusal.
    """

    name: str
    source: str
    words: "re.Pattern[str]"


def _shape(name: str, source: str, *words: str) -> Shape:
    return Shape(name, source, re.compile("|".join(words), re.IGNORECASE))


ORDER = _shape(
    "a user's message behind a tool's or another user's",
    "Mistral 3230; templates of Mistral-Small, Nemo, Ministral in llama.cpp and vLLM",
    r"'user' after role 'tool'|after a tool message the role user|roles? must alternate|message_order",
    r"unexpected role '(user|assistant)'|consecutive (user )?messages|last role[^.]{0,80}but got",
)
SEVERAL = _shape(
    "several calls in one message",
    "templates of Llama 3.1 to 3.3; Databricks",
    r"single tool.calls? at once|multiple tool calls (are|is) not supported|only (one|a single) tool call",
)
IDS = _shape(
    "ids of calls as they came",
    "Mistral 3280",
    r"tool call id[^.]{0,100}must be|with a length of 9",
)
SYSTEM = _shape(
    "the role system",
    "OpenAI o1; templates of Gemma and of Mistral 7B",
    r"'system'[^.]{0,60}(not|unsupported)|not support[^.]{0,40}'?system|system role (is )?not|unexpected role 'system'",
)
DEVELOPER = _shape(
    "the role developer",
    "most servers but OpenAI's",
    r"'?developer'?[^.]{0,60}(not|unknown|invalid|unsupported)|(unknown|invalid|unexpected)[^.]{0,40}'?developer",
)
SHAPES = (ORDER, SEVERAL, IDS, SYSTEM, DEVELOPER)
"""In the order in which a refusal is looked at: templates name the system's message beside the order."""

SAYS = "\n\nThe user says:\n"
"""Between a tool's answer and a user's message that is joined with it."""

_USER, _TOOL, _ASSISTANT = b'{"role":"user"', b'{"role":"tool"', b'{"role":"assistant"'


def refused_shape(words: str, sent: frozenset[str]) -> str | None:
    """The shape, among those that were sent, that a server's words refuse."""
    return next((shape.name for shape in SHAPES if shape.name in sent and shape.words.search(words)), None)


def system_message(text: str, without: frozenset[str]) -> bytes:
    """The system's message in a role that the server takes."""
    roles = [("system", SYSTEM), ("developer", DEVELOPER)]
    role = next((role for role, shape in roles if shape.name not in without), "user")
    return orjson.dumps({"role": role, "content": text})


def reshaped(messages: Sequence[bytes], without: frozenset[str]) -> list[bytes]:
    """Messages without the shapes that the server does not take. `messages` begin with the system's."""
    shaped = list(messages)
    if SEVERAL.name in without:
        shaped = list(_one_call_each(shaped))
    if IDS.name in without:
        shaped = [_with_short_ids(message) for message in shaped]
    if ORDER.name in without:
        shaped = list(_in_turn(shaped))
    return shaped


def _one_call_each(messages: list[bytes]) -> Iterator[bytes]:
    """Each call in a message of its own, followed by its answer."""
    at = 0
    while at < len(messages):
        message = messages[at]
        at += 1
        if not message.startswith(_ASSISTANT) or message.count(b'"arguments"') < 2:  # noqa: PLR2004
            yield message
            continue
        answers: dict[str, bytes] = {}
        while at < len(messages) and messages[at].startswith(_TOOL):
            answers[orjson.loads(messages[at])["tool_call_id"]] = messages[at]
            at += 1
        said = orjson.loads(message)
        for call in said["tool_calls"]:
            yield orjson.dumps(said | {"tool_calls": [call]})
            if (answer := answers.pop(call["id"], None)) is not None:
                yield answer
            said = {"role": "assistant", "content": None}
        yield from answers.values()


def _with_short_ids(message: bytes) -> bytes:
    if not message.startswith((_TOOL, _ASSISTANT)) or b"call" not in message:
        return message
    said = orjson.loads(message)
    if "tool_call_id" in said:
        said["tool_call_id"] = short_id(said["tool_call_id"])
    for call in said.get("tool_calls") or ():
        call["id"] = short_id(call["id"])
    return orjson.dumps(said)


def short_id(id_: str) -> str:
    """An id of nine letters and digits in place of another one, always the same."""
    return hashlib.sha256(id_.encode()).hexdigest()[:9]


def _in_turn(messages: list[bytes]) -> Iterator[bytes]:
    """Users' messages joined with the one before: a user's, or a tool's answer, which then holds both.

    Only those are parsed: a long conversation is rendered for each call.
    """
    at = 0
    while at < len(messages):
        message = messages[at]
        at += 1
        if message.startswith((_USER, _TOOL)) and at < len(messages) and messages[at].startswith(_USER):
            said = orjson.loads(message)
            between = SAYS if said["role"] == "tool" else "\n\n"
            while at < len(messages) and messages[at].startswith(_USER):
                said["content"] += between + orjson.loads(messages[at])["content"]
                between = "\n\n"
                at += 1
            message = orjson.dumps(said)
        yield message
