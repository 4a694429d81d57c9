"""A Chat Completions answer put together from its pieces, as if it had come whole."""

from typing import Any

import orjson

from headway.model.reading import parsed

_JOINED = ("content", "refusal", "reasoning_content", "reasoning")


class ChatPieces:
    """Takes the chunks of one answer in order. What they leave out stays out; what they say twice stays once."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._calls: list[dict[str, Any]] = []
        self._places: dict[int, dict[str, Any]] = {}
        self._reason: Any = None
        self._begun = False

    def take(self, data: bytes) -> bool:
        """One chunk; True when it was the last word."""
        chunk = parsed(data.decode(errors="replace"))
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
                self._add(delta)
        return False

    @property
    def whole(self) -> dict[str, Any]:
        """The answer; without a choice when its end is missing, which makes it none."""
        if "error" in self._top:
            return self._top
        if not self._begun or self._reason is None:
            return self._top | {"choices": []}
        message = self._message | ({"tool_calls": self._calls} if self._calls else {})
        return self._top | {"choices": [{"message": message, "finish_reason": self._reason}]}

    def _add(self, delta: dict[str, Any]) -> None:
        for name in _JOINED:
            if isinstance(delta.get(name), str):
                self._message[name] = self._message.get(name, "") + delta[name]
        details = delta.get("reasoning_details")
        if isinstance(details, list):
            self._message.setdefault("reasoning_details", []).extend(details)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._add_call(call)

    def _add_call(self, piece: dict[str, Any]) -> None:
        call = self._call_of(piece)
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        known = call.setdefault("function", {"name": "", "arguments": ""})
        known["name"] = known["name"] or function.get("name") or ""
        arguments = function.get("arguments")
        if arguments is not None:
            text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
            known["arguments"] += text
        call |= {name: value for name, value in piece.items() if name not in {"index", "function"} and value}

    def _call_of(self, piece: dict[str, Any]) -> dict[str, Any]:
        index, id_ = piece.get("index"), piece.get("id")
        known = self._places.get(index) if isinstance(index, int) else (self._calls[-1] if self._calls else None)
        # Some servers number every call 0, and some number none: a new id is a new call.
        if known is not None and not (id_ and known.get("id") and id_ != known["id"]):
            return known
        call: dict[str, Any] = {}
        self._calls.append(call)
        if isinstance(index, int):
            self._places[index] = call
        return call
