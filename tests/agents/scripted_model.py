"""A model whose words a test decides, request by request, over real HTTP; for what a rehearsal does not foresee."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.models.servers import Answer, Asked, Server

Script = Callable[[dict[str, Any]], Answer]


class ScriptedModel(Server):
    """Answers each request by what it holds. One agent asks at a time."""

    def __init__(self, script: Script, *, keeps: bool = True) -> None:
        super().__init__()
        self.script = script
        self.keeps = keeps
        self.answer = self._answer

    def _answer(self, asked: Asked) -> Answer:
        if not self.keeps:
            self.asked.clear()
        return self.script(asked.json) if asked.method == "POST" else Answer({"data": []})

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Every request so far."""
        return [asked.json for asked in self.asked if asked.method == "POST"]


def reply(text: str = "", *calls: tuple[str, dict[str, Any]], tokens: int | None = None) -> Answer:
    """A reply of Chat Completions."""
    listed = [
        {"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text} | ({"tool_calls": listed} if listed else {})
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if listed else "stop"}
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "completion_tokens": 10}}
    return Answer({"id": "r", "object": "chat.completion", "model": "m", "choices": [choice]} | usage)


OVERFLOW = Answer({"error": {"message": "too long", "code": "context_length_exceeded"}}, status=400)


def replies(body: dict[str, Any]) -> int:
    """How often the model spoke in this conversation."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def said_to(body: dict[str, Any]) -> list[str]:
    """The user messages."""
    return [message["content"] for message in body["messages"] if message["role"] == "user"]


def is_prefix(shorter: Sequence[Any], longer: Sequence[Any]) -> bool:
    """Whether the one begins with the whole of the other."""
    return list(longer[: len(shorter)]) == list(shorter)
