"""A request of either API as a model reads it, and the reply that it makes of it, before either has a wire format."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

Api = Literal["chat", "responses"]


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    args: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True)
class Message:
    """A message of the conversation.

    Attributes:
        raw: As it came.
        thoughts: What the model thought; None where the field is missing.
        id: Of the call that a tool's message answers.
    """

    role: str
    text: str
    raw: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    thoughts: str | None = None
    id: str = ""


@dataclass(frozen=True)
class Ask:
    """A request.

    Attributes:
        number: Of this request among those of its habit's agents, from 1; 0 for a probe.
        path: Below the habit's own.
    """

    api: Api
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    path: str
    query: str
    number: int
    size: int
    text: str

    @property
    def tools(self) -> frozenset[str]:
        """Names of the tools on offer; without any, words are wanted."""
        if self.body.get("tool_choice") == "none":
            return frozenset()
        return frozenset(str((tool.get("function") or tool).get("name")) for tool in self.body.get("tools") or ())

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.body.get("messages" if self.api == "chat" else "input") or ()
        return found

    @property
    def messages(self) -> list[Message]:
        """The conversation, without the system's message."""
        return [*(_chat(item) for item in self.items)] if self.api == "chat" else _responses(self.items)

    @property
    def replies(self) -> int:
        return sum(message.role == "assistant" for message in self.messages)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The roles of each two messages that stand behind each other."""
        roles = [message.role for message in self.messages if message.role != "system"]
        return list(pairwise(roles))

    def every(self, count: int) -> bool:
        """Whether this is one of each so many requests."""
        return self.number > 0 and self.number % count == 0


@dataclass(frozen=True)
class Reply:
    """What the model says."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thoughts: str | None = None
    mark: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def _chat(item: Mapping[str, Any]) -> Message:
    calls = tuple(
        Call(each["function"]["name"], _object(each["function"]["arguments"]), str(each.get("id", "")))
        for each in item.get("tool_calls") or ()
    )
    thoughts = item.get("reasoning_content")
    return Message(
        str(item.get("role")), _text(item.get("content")), item, calls, thoughts, str(item.get("tool_call_id", ""))
    )


def _responses(items: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Items, with a call as a message of its own unless it follows another item of the same reply."""
    found: list[Message] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            found.append(Message("tool", _text(item.get("output")), item, id=str(item.get("call_id", ""))))
        elif kind == "message" and item.get("role") != "assistant":
            found.append(Message(str(item.get("role")), _text(item.get("content")), item))
        else:
            before = found.pop() if found and found[-1].role == "assistant" else Message("assistant", "", item)
            calls = before.calls
            if kind == "function_call":
                calls += (Call(str(item["name"]), _object(item["arguments"]), str(item.get("call_id", ""))),)
            text = before.text + (_text(item.get("content")) if kind == "message" else "")
            thoughts = "" if kind == "reasoning" else before.thoughts
            found.append(Message("assistant", text, before.raw, calls, thoughts))
    return found


def _object(arguments: Any) -> Mapping[str, Any]:
    if isinstance(arguments, dict):
        return arguments
    try:
        found = json.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or () if isinstance(part, dict))
