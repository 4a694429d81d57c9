"""Tool calls that a model wrote as text: what models that are not trained on a server's own format do.

Read once, where a reply holds no real call, and only on Chat Completions, where the reply is sent back as ours to
write: as the call that was meant. That shows the model the right form, and gives the answer a call to belong to.

A model chooses this text: each form is found by going through the text once.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from headway.model.reading import call_id
from headway.model.turn import ToolCall, Turn

MOST_CALLS = 20
MOST_CHARS = 100_000

_TAG = re.compile("<(tool_call|function_call|tool|function)>")
_THOUGHTS = tuple(
    [(f"<{word}>", f"</{word}>") for word in ("think", "thinking", "thought", "reasoning")]
    + [("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷")]
)
_FENCE = "```"
_FENCED_AS = frozenset({"", "json", "tool_call", "tool_code", "tool"})
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LONGEST_NAME = 200
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
    text = without_thoughts(text)
    forms = (_functions(text), _in_json(_tagged(text)), _in_json(_fenced(text)), _in_json([text]))
    for form in forms:
        calls = [(name, arguments) for name, arguments in form if name in tools]
        if calls:
            return calls[:MOST_CALLS]
    return []


def without_thoughts(text: str) -> str:
    """A text without what the model thought in it: a call that it drafted there is none.

    A mark counts at the beginning of a line, so that one within a file's content does not. Thoughts that do not end
    take all that follows; an end without a beginning takes all that came before.
    """
    for opening, closing in _THOUGHTS:
        if opening not in text and closing not in text:
            continue
        kept: list[str] = []
        is_thought = False
        for line in text.split("\n"):
            left: str | None = line
            while left is not None:
                left, is_thought = _after_marks(left, (opening, closing), kept, is_thought=is_thought)
        text = "\n".join(kept)
    return text


def _after_marks(line: str, marks: tuple[str, str], kept: list[str], *, is_thought: bool) -> tuple[str | None, bool]:
    """Take the next part of a line; the rest of it, and whether that is a thought."""
    opening, closing = marks
    if is_thought:
        _, end, rest = line.partition(closing)
        return (rest, False) if end else (None, True)
    start = line.lstrip(" \t")
    if start.startswith(opening):
        return start.removeprefix(opening), True
    if start.startswith(closing):
        kept.clear()
        return start.removeprefix(closing), False
    kept.append(line)
    return None, False


def _functions(text: str) -> Iterator[tuple[str, str]]:
    """Calls as `<function=name><parameter=name>value</parameter></function>`."""
    for name, body in _blocks(text, "function", closed=False):
        if isinstance(given := _parsed(body.strip()), dict):  # Llama's form
            yield name, orjson.dumps(given).decode()
            continue
        values = {key: value.removeprefix("\n").removesuffix("\n") for key, value in _blocks(body, "parameter")}
        yield name, orjson.dumps(values).decode()


def _blocks(text: str, kind: str, *, closed: bool = True) -> Iterator[tuple[str, str]]:
    """Names and bodies of `<kind=name>body</kind>`; the last one may lack its end, unless it has to be closed."""
    opening, closing = f"<{kind}=", f"</{kind}>"
    at = text.find(opening)
    while at >= 0:
        start = text.find(">", at, at + len(opening) + _LONGEST_NAME)
        name = text[at + len(opening) : start] if start >= 0 else ""
        if not name or not _NAME.issuperset(name):
            at = text.find(opening, at + len(opening))
            continue
        end = text.find(closing, start)
        if end < 0:
            if not closed:
                yield name, text[start + 1 :]
            return
        yield name, text[start + 1 : end]
        at = text.find(opening, end + len(closing))


def _tagged(text: str) -> Iterator[str]:
    """The contents of `<tool_call>` and similar tags; the last tag may not be closed."""
    at = 0
    while (found := _next_tag(text, at)) is not None:
        tag, start = found
        end = text.find(f"</{tag}>", start)
        yield text[start : end if end >= 0 else len(text)].strip()
        if end < 0:
            return
        at = end + len(tag) + 3


def _next_tag(text: str, at: int) -> tuple[str, int] | None:
    """The next tag that opens a call, and where its content begins."""
    found = _TAG.search(text, at)
    return None if found is None else (found[1], found.end())


def _fenced(text: str) -> Iterator[str]:
    """The text between two fences; the first fence may name a kind."""
    lines, inside = text.split("\n"), None
    for number, line in enumerate(lines):
        word = line.strip(" \t")
        if not word.startswith(_FENCE):
            continue
        if inside is not None:
            yield "\n".join(lines[inside:number])
            inside = None
        elif word.removeprefix(_FENCE).strip(" \t") in _FENCED_AS:
            inside = number + 1


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
    while isinstance(value.get("function"), dict):
        value = value["function"]
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    if isinstance(given, str):
        given = _parsed(given)
    if name is not None and isinstance(given, dict):
        with suppress(orjson.JSONEncodeError):  # nested deeper than can be written
            yield name, orjson.dumps(given).decode()
