"""The items of a reply that go back to the server, and their form: a server may refuse some permanently. Pure."""

from typing import Any

import orjson

from headway.models.lenient_json import SILENCE, text_in

REASONING = b'"type":"reasoning"'
"""Stands in each item that holds reasoning, as it is sent."""


def replayed(raw: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """A reply's items as servers take them back."""
    return _text_in(_led_on(raw))


def _led_on(raw: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """A reply's items without reasoning that led to nothing: OpenAI refuses it without the item that has to follow."""
    while raw and raw[-1].get("type") == "reasoning":
        raw = raw[:-1]
    return raw


def _text_in(raw: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """A reply's items without messages of no words; with a word, where the reply is nothing else."""
    silent = [_is_silent(item) for item in raw]
    if not any(silent):
        return raw
    if all(silence or item.get("type") == "reasoning" for item, silence in zip(raw, silent, strict=True)):
        return tuple(_with_a_word(item) if quiet else item for item, quiet in zip(raw, silent, strict=True))
    return tuple(item for item, quiet in zip(raw, silent, strict=True) if not quiet)


def _with_a_word(item: dict[str, Any]) -> dict[str, Any]:
    said = {"type": "output_text", "text": SILENCE + text_in(item.get("content")), "annotations": []}
    return item | {"content": [said]}


def _is_silent(item: dict[str, Any]) -> bool:
    if item.get("type") != "message" or refuses(item):
        return False
    return not text_in(item.get("content")).strip()


def without_thoughts(item: bytes, *, every: bool) -> bytes:
    """An item of the conversation without its reasoning; or only without that which the server did not encrypt."""
    if REASONING not in item:
        return item
    parts = orjson.loads(b"[" + item + b"]")
    kept = [
        part for part in parts if part.get("type") != "reasoning" or not (every or not part.get("encrypted_content"))
    ]
    return b",".join(map(orjson.dumps, kept))


def refuses(entry: dict[str, Any]) -> bool:
    """True if an item holds a refusal."""
    parts = entry.get("content")
    return isinstance(parts, list) and any(isinstance(p, dict) and p.get("type") == "refusal" for p in parts)
