"""A Chat Completions answer put together from its pieces, as if it had come whole."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from headway.model.reading import MAX_CALLS, MAX_VALUES, MAX_WHOLE_BYTES, Unreadable, json_in

_JOINED = ("content", "refusal", "reasoning_content", "reasoning")


@dataclass
class _Call:
    """A tool call that is being put together. Pieces are joined at the end: to add to a long text copies all of it."""

    id: Any = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)

    def take(self, piece: dict[str, Any]) -> int:
        """Add a piece, and return the number of characters that it adds to the arguments."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        self.name = self.name or (name if isinstance(name, str) else "")
        text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        if arguments is not None:
            self.arguments.append(text)
        self.id = piece.get("id") or self.id
        self.rest |= {key: value for key, value in piece.items() if key not in {"index", "id", "function"} and value}
        return len(text)

    @property
    def whole(self) -> dict[str, Any]:
        given = {} if self.id is None else {"id": self.id}
        return self.rest | given | {"function": {"name": self.name, "arguments": "".join(self.arguments)}}


class ChatPieces:
    """Takes the chunks of one answer in order. What they leave out stays out; what they say twice stays once."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._details: list[Any] = []
        self._calls: list[_Call] = []
        self._places: dict[int, _Call] = {}
        self._reason: Any = None
        self._begun = False
        self._values = 0
        self._chars = 0

    def take(self, data: bytes) -> bool:
        """One chunk; True when it was the last word.

        Raises:
            Unreadable: It is no JSON, or goes beyond what a reply may hold.
        """
        chunk = json_in(data)
        if not isinstance(chunk, dict):
            return False
        self._top |= {name: chunk[name] for name in ("id", "model", "usage", "error") if chunk.get(name)}
        if chunk.get("error"):
            return True
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            self._begun = True
            self._reason = choice.get("finish_reason") or self._reason
            if choice.get("error"):
                self._top["error"] = choice["error"]
                return True
            delta = choice.get("delta") or choice.get("message")
            if isinstance(delta, dict):
                self._add(delta, data)
                self._refuse_long()
        return False

    @property
    def whole(self) -> dict[str, Any]:
        """The answer; without a choice when its end is missing, which makes it none."""
        if "error" in self._top:
            return self._top
        if not self._begun or self._reason is None:
            return self._top | {"choices": []}
        message: dict[str, Any] = {name: "".join(texts) for name, texts in self._texts.items()}
        message |= {"reasoning_details": self._details} if self._details else {}
        message |= {"tool_calls": [call.whole for call in self._calls]} if self._calls else {}
        return self._top | {"choices": [{"message": message, "finish_reason": self._reason}]}

    def _add(self, delta: dict[str, Any], data: bytes) -> None:
        for name in _JOINED:
            if isinstance(text := delta.get(name), str):
                self._texts.setdefault(name, []).append(text)
                self._chars += len(text)
        details = delta.get("reasoning_details")
        if isinstance(details, list) and details:
            self._values += data.count(b"[") + data.count(b"{") + data.count(b",")
            if self._values > MAX_VALUES:
                raise Unreadable(f"the answer holds more than {MAX_VALUES:,} values")
            self._details += details
            self._chars += len(data)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else []:
            # One more than is taken, by which the reply is known as too long.
            if isinstance(piece, dict) and len(self._calls) <= MAX_CALLS:
                self._chars += self._call_of(piece).take(piece)

    def _refuse_long(self) -> None:
        if self._chars > MAX_WHOLE_BYTES:
            raise Unreadable(f"the answer says more than {MAX_WHOLE_BYTES >> 20} MB")

    def _call_of(self, piece: dict[str, Any]) -> _Call:
        index, id_ = piece.get("index"), piece.get("id")
        known = self._places.get(index) if isinstance(index, int) else (self._calls[-1] if self._calls else None)
        # Some servers number every call 0, and some number none: a new id is a new call.
        if known is not None and not (id_ and known.id and id_ != known.id):
            return known
        call = _Call()
        self._calls.append(call)
        if isinstance(index, int):
            self._places[index] = call
        return call
