"""Tool calls that a model wrote as text, as models do that are not trained on a server's own format.

Read once, where a reply holds no real call. The reply is sent back with the call that was meant. That shows the model
the right form, and gives the answer a call to belong to.

A model chooses this text: it is gone through once, from mark to mark, and only so many marks may lead to nothing.
"""

import re
from collections.abc import Iterable
from string import ascii_lowercase, digits
from typing import Any, NamedTuple

from headway.models.adapter import ToolSchema
from headway.models.lenient_json import call_id
from headway.models.text_calls.call_forms import FORMS
from headway.models.text_calls.call_values import Call, Tools, values
from headway.models.turn import ToolCall, Turn

MOST_CALLS = 20
MOST_CHARS = 100_000
MOST_TRIES = 50
"""Places at which a call may begin and none stands."""

MOST_INDENTED = 200
"""Blanks before a mark at the beginning of a line."""


class _Thought(NamedTuple):
    """The marks around a model's thoughts; `begins`: they count at the beginning of a line only."""

    opening: str
    closing: str
    begins: bool = True


_WORDS = ("think", "thinking", "thought", "reasoning", "seed:think")
_THOUGHTS = (
    *(_Thought(f"<{word}>", f"</{word}>") for word in _WORDS),
    _Thought("[THINK]", "[/THINK]"),
    _Thought("◁think▷", "◁/think▷"),
    # Tokens of their models: they mean the same wherever they stand.
    _Thought("<|channel|>analysis<|message|>", "<|end|>", begins=False),
    _Thought("<|START_THINKING|>", "<|END_THINKING|>", begins=False),
    _Thought("<|channel>thought", "<channel|>", begins=False),
)


def _marks() -> str:
    """Each mark as a group with its number: a thought's `opening`, its `closing` without one before, or a `form`."""
    openings = [f"(?P<opening{at}>{re.escape(thought.opening)})" for at, thought in enumerate(_THOUGHTS)]
    closings = [f"(?P<closing{at}>{re.escape(each.closing)})" for at, each in enumerate(_THOUGHTS) if each.begins]
    forms = [f"(?P<form{at}>{form.opening.replace('?P<name>', f'?P<name{at}>')})" for at, form in enumerate(FORMS)]
    return "|".join((*openings, *closings, *forms))


_MARKS = re.compile(_marks())
_MAYBE = re.compile(r"<(?=[\w|/\uff5c])|\[(?=[T/])|functools|```|◁")
"""Begins a mark: looked for first, since each mark is compared at every place that is found."""


class _Mark(NamedTuple):
    kind: str
    number: int
    found: "re.Match[str]"


def with_text_calls(reply: Turn, tools: Iterable[ToolSchema]) -> Turn:
    """The reply with the calls that its text holds, or the reply as it is."""
    if reply.stop != "text" or reply.calls:
        return reply
    found = text_calls(reply.text, {tool.name: tool for tool in tools})
    if not found:
        return reply
    taken: set[str] = set()
    calls = tuple(ToolCall(id=call_id(None, taken), name=name, arguments=arguments) for name, arguments in found)
    return reply.model_copy(update={"items": (*reply.items, *calls), "raw": _sent(reply, calls), "stop": "tool"})


def _sent(reply: Turn, calls: Iterable[ToolCall]) -> tuple[dict[str, Any], ...]:
    """The reply as it goes back: with the calls in the one message of Chat Completions, or as items of their own."""
    # An item of the Responses API says its type.
    if len(reply.raw) == 1 and "type" not in reply.raw[0]:
        made = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
        return ({**reply.raw[0], "tool_calls": made},)
    items = (
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments} for call in calls
    )
    return (*reply.raw, *items)


def text_calls(text: str, tools: Tools) -> list[Call]:
    """Names and arguments of the calls of these tools that a text holds, in order.

    A call that the model drafted in a thought is none. Thoughts that do not end take all that follows; an end without
    a beginning takes all that came before. Marks within a call are a part of it, and those of thoughts count at the
    beginning of a line only.
    """
    if len(text) > MOST_CHARS:
        return []
    calls: list[Call] = []
    at = tries = 0
    is_silent = True  # but for thoughts
    while tries <= MOST_TRIES:
        if is_silent:
            if bare := _bare(text, at, tools):
                return bare[:MOST_CALLS]
            tries += 1
        mark = _next_mark(text, at)
        if mark is None:
            break
        found = mark.found
        is_silent = is_silent and not text[at : found.start()].strip()
        at = found.end()
        if mark.kind == "closing":
            calls, is_silent = [], True
        elif mark.kind == "opening":
            closing = _THOUGHTS[mark.number].closing
            close = text.find(closing, at)
            at = len(text) if close < 0 else close + len(closing)
        else:
            is_silent = False
            read = FORMS[mark.number].read(text, found, tools)
            if read is None:
                tries += 1
            else:
                calls += read[0]
                at = read[1]
    return calls[:MOST_CALLS]


def _next_mark(text: str, at: int) -> _Mark | None:
    while (maybe := _MAYBE.search(text, at)) is not None:
        at = maybe.end()
        found = _MARKS.match(text, maybe.start())
        if found is None or found.lastgroup is None:
            continue
        kind, number = found.lastgroup.rstrip(digits), int(found.lastgroup.lstrip(ascii_lowercase))
        begins = FORMS[number].begins if kind == "form" else _THOUGHTS[number].begins
        if not begins or _is_begin(text, found.start()):
            return _Mark(kind, number, found)
    return None


def _is_begin(text: str, at: int) -> bool:
    """True if a place is the first one of a line but for blanks, or follows another mark."""
    before = text[max(0, at - MOST_INDENTED) : at].rstrip(" \t")
    return before[-1:] in {"\n", ">", "]", "▷"} if before else at <= MOST_INDENTED


def _bare(text: str, at: int, tools: Tools) -> list[Call]:
    """Calls without a mark, where a text holds nothing else from a place on."""
    found = values(text, at, tools)
    return [] if found is None or text[found[1] :].strip() else found[0]
