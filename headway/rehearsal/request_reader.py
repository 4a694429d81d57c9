"""A request's conversation, read from either wire format into the little that the rehearsal needs of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from headway.domain.headings import HANDOFF_MARK

Api = Literal["responses", "chat"]


@dataclass(slots=True)
class WireMessage:
    """A turn of the assistant: its text or refusal, and the answers to its tool calls, in order."""

    text: str = ""
    answers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RequestedConversation:
    """The messages so far.

    Attributes:
        users: Texts of the user messages, in order.
        turns: Each turn of the assistant, in order.
        words_only: The request forbids tool calls.
    """

    users: list[str] = field(default_factory=list)
    turns: list[WireMessage] = field(default_factory=list)
    words_only: bool = False

    @property
    def newest_answers(self) -> Iterator[str]:
        """Every answer to a tool call, newest first."""
        return (answer for turn in reversed(self.turns) for answer in reversed(turn.answers))

    @property
    def told(self) -> Iterator[str]:
        """Texts that may tell of handoffs: the user's, and a tool's answers, with which a client joins those of the
        user where its server takes no user's message behind a tool's.
        """
        yield from self.users
        yield from (answer for turn in self.turns for answer in turn.answers if HANDOFF_MARK in answer)

    def answered(self, output: str) -> None:
        """A tool call of the newest turn was answered."""
        if self.turns:
            self.turns[-1].answers.append(output)


def read_conversation(api: Api, body: dict[str, Any]) -> RequestedConversation:
    """The conversation of a request of either format."""
    talk = RequestedConversation(words_only=body.get("tool_choice") == "none")
    items = body.get("messages" if api == "chat" else "input")
    if isinstance(items, str):
        talk.users.append(items)
    elif isinstance(items, list):
        (_read_chat if api == "chat" else _read_responses)(talk, [item for item in items if isinstance(item, dict)])
    return talk


def _read_chat(talk: RequestedConversation, messages: list[dict[str, Any]]) -> None:
    for message in messages:
        match message.get("role"):
            case "user":
                talk.users.append(_text(message.get("content")))
            case "assistant":
                talk.turns.append(WireMessage(_text(message.get("content")) or _text(message.get("refusal"))))
            case "tool":
                talk.answered(_text(message.get("content")))


def _read_responses(talk: RequestedConversation, items: list[dict[str, Any]]) -> None:
    # A turn is several items here: those that follow each other and carry the mark of one reply in their ids. An item
    # without an id was put in by the client, such as a call that the reply held as text.
    mark: str | None = None
    for item in items:
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call_output":
            talk.answered(_text(item.get("output")))
        elif kind == "message" and role == "user":
            talk.users.append(_text(item.get("content")))
        elif kind == "message" and role != "assistant":
            continue
        else:
            found = str(item.get("id", "")).partition("_")[2].partition("_")[0]
            if mark is None or (found and found != mark):
                talk.turns.append(WireMessage())
            mark = found or mark
            if kind == "message":
                talk.turns[-1].text += _text(item.get("content"))
            continue
        mark = None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    said = (part.get("text") or part.get("refusal") for part in parts if isinstance(part, dict))
    return "".join(text for text in said if isinstance(text, str))
