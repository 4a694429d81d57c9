"""Tool calls that a model wrote as text: what models that are not trained on a server's own format do.

Read once, where a reply holds no real call, and only on Chat Completions, where the reply is sent back as ours to
write: as the call that was meant. That shows the model the right form, and gives the answer a call to belong to.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson

from headway.model.reading import call_id
from headway.model.turn import ToolCall, Turn

MOST_CALLS = 20
MOST_CHARS = 400_000

_TAGGED = re.compile(r"<(tool_call|function_call|tool|function)>\s*(.*?)\s*(?:</\1>|\Z)", re.DOTALL)
_FENCED = re.compile(
    r"^[ \t]*```[ \t]*(?:json|tool_call|tool_code|tool)?[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE
)
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_NAMES = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "params")


def with_spoken_calls(reply: Turn, tools: Collection[str]) -> Turn:
    """The reply with the calls that its text holds, or the reply as it is."""
    # An item of the Responses API says its type.
    is_chat = len(reply.raw) == 1 and "type" not in reply.raw[0] and reply.raw[0].get("role") == "assistant"
    if not is_chat or reply.stop != "text" or reply.calls:
        return reply
    found = spoken_calls(reply.text, tools)
    if not found:
        return reply
    taken: set[str] = set()
    calls = tuple(ToolCall(id=call_id(None, taken), name=name, arguments=arguments) for name, arguments in found)
    sent = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    raw = {**reply.raw[0], "tool_calls": sent}
    return reply.model_copy(update={"items": (*reply.items, *calls), "raw": (raw,), "stop": "tool"})


def spoken_calls(text: str, tools: Collection[str]) -> list[tuple[str, str]]:
    """Names and arguments of the calls of these tools that a text holds, in order; of the first form that fits."""
    if len(text) > MOST_CHARS:
        return []
    written = [(name, dict(_PARAMETER.findall(body))) for name, body in _FUNCTION.findall(text)]
    forms = (
        [(name, orjson.dumps(values).decode()) for name, values in written],
        list(_in_json((body for _, body in _TAGGED.findall(text)))),
        list(_in_json(_FENCED.findall(text))),
        list(_in_json([text])),
    )
    for form in forms:
        calls = [(name, arguments) for name, arguments in form if name in tools]
        if calls:
            return calls[:MOST_CALLS]
    return []


def _in_json(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        value = _parsed(text)
        for each in value if isinstance(value, list) else [value]:
            yield from _call_in(each)


def _parsed(text: str) -> Any:
    """The JSON in a text that is nothing else, or one object a line."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    values = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            values.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            return None
    return values


def _call_in(value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    if isinstance(value.get("function"), dict):
        yield from _call_in(value["function"])
        return
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    if isinstance(given, str):
        given = _parsed(given)
    if name is not None and isinstance(given, dict):
        yield name, orjson.dumps(given).decode()
