"""What the rehearsal answers, before it is put into a wire format. Pure."""

import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from headway.domain.headings import handoffs_in
from headway.domain.task import in_history
from headway.rehearsal.conversation import Conversation
from headway.rehearsal.place import NoPlaceError, Place, so_far, step_at
from headway.rehearsal.playbook import OWN_WORDS, Latency, Playbook, Step, Tokens

BYTES_PER_TOKEN = 4
NO_CLAIM = Tokens()
_CHILD = re.compile(r"\{\{id:([^{}]+)\}\}")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `arguments` is JSON text, possibly cut."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        mark: Names the reply: agent, step, and replies before it.
        scripted: Whether it is a call of the playbook; waits and summaries are not.
    """

    mark: str
    text: str
    calls: tuple[Call, ...] = ()
    stop: str | None = None
    tokens: Tokens = NO_CLAIM
    latency_ms: Latency = 0
    scripted: bool = True


def reply_at(playbook: Playbook, place: Place, talk: Conversation) -> Reply:
    """The answer at this place.

    Raises:
        NoPlaceError: The script is at its end, or asks for the id of a child that nobody spawned.
    """
    mark = _digest(place.who, str(place.step), str(place.turns))[:16]
    if talk.words_only:
        return Reply(mark, so_far(place), latency_ms=playbook.latency_ms, scripted=False)
    step = step_at(playbook, place)
    latency = playbook.latency_ms if step.latency_ms is None else step.latency_ms
    if len(place.handoffs) < step.after_handoffs:
        words = f"{OWN_WORDS}waiting for {step.after_handoffs} handoffs)"
        wait = Call(_call_id(place, place.turns, "wait"), "wait", "{}")
        return Reply(mark, words, (wait,), latency_ms=latency, scripted=False)
    calls = () if step.stop in {"refusal", "empty"} else tuple(_calls(step, place, talk))
    text = "" if step.stop == "empty" else _filled(step.text or "", talk, place)
    tokens = Tokens(input=step.tokens.input, output=step.tokens.output or playbook.tokens_out)
    return Reply(mark, text, calls, step.stop, tokens, latency)


def latency_s(playbook: Playbook, reply: Reply, body: bytes) -> float:
    """Seconds that the answer takes; a range is drawn by the playbook's seed and the request's content."""
    if isinstance(reply.latency_ms, int):
        return reply.latency_ms / 1000
    low, high = reply.latency_ms
    draw = random.Random(f"{playbook.seed}:{hashlib.blake2b(body, digest_size=16).hexdigest()}")  # noqa: S311
    return draw.uniform(low, high) / 1000


def _calls(step: Step, place: Place, talk: Conversation) -> Iterator[Call]:
    for index, use in enumerate(step.tools):
        arguments = orjson.dumps(_filled(use.args, talk, place)).decode()
        if step.stop == "length" and index == len(step.tools) - 1:
            arguments = arguments[: len(arguments) // 2]
        yield Call(_call_id(place, index), use.name, arguments)


def _call_id(place: Place, index: int, *more: str) -> str:
    return "call_" + _digest(place.who, str(place.step), str(index), *more)[:24]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _filled(value: Any, talk: Conversation, place: Place) -> Any:
    """`value` with each `{{id:TITLE}}` replaced by the key of that child; every other brace stays."""
    match value:
        case str():
            return _CHILD.sub(lambda found: _child(found[1].strip(), talk, place), value) if "{{id:" in value else value
        case dict():
            return {name: _filled(inner, talk, place) for name, inner in value.items()}
        case list():
            return [_filled(inner, talk, place) for inner in value]
        case _:
            return value


def _child(title: str, talk: Conversation, place: Place) -> str:
    for output in reversed(talk.outputs):
        for entry in _objects(_json_in(output)):
            if isinstance(entry.get("id"), str) and entry.get("title") in {title, in_history(title)}:
                return str(entry["id"])
    for text in talk.users:
        for key, _, told in handoffs_in(text):
            if told in {title, in_history(title)}:
                return key
    raise NoPlaceError(f"{place.who}, call {place.step + 1}: no child titled '{title}' was spawned")


def _json_in(output: str) -> Any:
    start = min((at for at in (output.find("{"), output.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(output, start)[0]
    except ValueError:
        return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)
