"""A Chat Completions answer put together from its pieces, as if it had come whole."""

from typing import Any

from headway.models.chat_calls import CallPieces
from headway.models.lenient_json import (
    MAX_LOOSE_BYTES,
    MAX_VALUES,
    MAX_WHOLE_BYTES,
    Unreadable,
    piece_in,
    text_in,
    whole_texts,
)

MAX_CHOICES = 8
"""Choices of one answer. One is asked for; some gateways send the text in one and the calls in another."""

_JOINED = ("content", "refusal", "reasoning_content", "reasoning")


class ChatPieces:
    """Takes the chunks of one answer in order. A field that they leave out stays out; one that they repeat stays once.

    A chunk that cannot be read makes the answer unreadable: without it, the others could mean another thing.
    """

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._texts: dict[int, dict[str, list[str]]] = {}
        self._details: dict[int, list[Any]] = {}
        self._calls = CallPieces()
        self._reasons: dict[int, Any] = {}
        self._values = 0
        self._chars = 0
        self._loose = 0

    def take(self, data: bytes) -> bool:
        """Take one chunk; True when it was the last one.

        Raises:
            Unreadable: It is no JSON, or no chunk, or goes beyond what a reply may hold.
        """
        chunk, is_loose = piece_in(data)
        self._loose += len(data) if is_loose else 0
        if self._loose > MAX_LOOSE_BYTES:
            raise Unreadable(f"more than {MAX_LOOSE_BYTES >> 20} MB of the answer are no JSON")
        if not isinstance(chunk, dict):
            raise _unreadable(data)
        self._top |= {name: chunk[name] for name in ("id", "model", "usage", "error") if chunk.get(name)}
        if chunk.get("error"):
            return True
        for place, choice in enumerate(_dicts_in(chunk.get("choices"), data)):
            if choice.get("error"):
                self._top["error"] = choice["error"]
                return True
            index = choice.get("index")
            self._take_choice(index if isinstance(index, int) else place, choice, data)
        return False

    @property
    def whole(self) -> dict[str, Any]:
        """The answer; without a choice when its end is missing, which makes it none."""
        if "error" in self._top:
            whole = self._top
        elif not self._reasons or None in self._reasons.values():
            whole = self._top | {"choices": []}
        else:
            whole = self._top | {"choices": [self._choice(index) for index in sorted(self._reasons)]}
        fixed: dict[str, Any] = whole_texts(whole)
        return fixed

    def _choice(self, index: int) -> dict[str, Any]:
        texts, details, calls = self._texts.get(index, {}), self._details.get(index), self._calls.of(index)
        message: dict[str, Any] = {name: "".join(parts) for name, parts in texts.items()}
        message |= {"reasoning_details": details} if details else {}
        message |= {"tool_calls": calls} if calls else {}
        return {"message": message, "finish_reason": self._reasons[index]}

    def _take_choice(self, index: int, choice: dict[str, Any], data: bytes) -> None:
        self._reasons[index] = choice.get("finish_reason") or self._reasons.get(index)
        if len(self._reasons) > MAX_CHOICES:
            raise Unreadable(f"the answer holds more than {MAX_CHOICES} choices")
        delta = choice.get("delta") or choice.get("message")
        if not delta:
            return
        if not isinstance(delta, dict):
            raise _unreadable(data)
        self._take_texts(index, delta, data)
        details = _dicts_in(delta.get("reasoning_details"), data)
        if details:
            self._values += data.count(b"[") + data.count(b"{") + data.count(b",")
            if self._values > MAX_VALUES:
                raise Unreadable(f"the answer holds more than {MAX_VALUES:,} values")
            self._details.setdefault(index, []).extend(details)
            self._chars += len(data)
        self._chars += self._calls.take(_dicts_in(_calls_in(delta), data), index)
        if self._chars > MAX_WHOLE_BYTES:
            raise Unreadable(f"the answer says more than {MAX_WHOLE_BYTES >> 20} MB")

    def _take_texts(self, index: int, delta: dict[str, Any], data: bytes) -> None:
        for name in _JOINED:
            given = delta.get(name)
            if given is None:
                continue
            if not isinstance(given, str | list):
                raise _unreadable(data)
            text = text_in(given)
            self._texts.setdefault(index, {}).setdefault(name, []).append(text)
            self._chars += len(text)


def _calls_in(delta: dict[str, Any]) -> Any:
    """The pieces of calls in a delta; the older form has one call, without a number."""
    older = delta.get("function_call")
    return delta.get("tool_calls") or ([{"index": 0, "function": older}] if older else None)


def _dicts_in(value: Any, data: bytes) -> list[dict[str, Any]]:
    """Objects of a list. Nothing, and a single object in place of a list, are read as well."""
    listed = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(each, dict) for each in listed):
        raise _unreadable(data)
    return listed


def _unreadable(data: bytes) -> Unreadable:
    return Unreadable(f"a piece of the answer makes no sense: {data[:120].decode(errors='replace')}")
