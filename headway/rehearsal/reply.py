"""The rehearsal's answers, before they are put into a wire format. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from headway.domain.headings import handoffs_in
from headway.domain.task import in_history
from headway.rehearsal.fault import Nonsense, drawn, pick
from headway.rehearsal.latency import Latency
from headway.rehearsal.part import OWN_WORDS
from headway.rehearsal.place import BLANK, NONSENSE_WORDS, NoPlaceError, Place, so_far, step_at
from headway.rehearsal.playbook import Step, Tokens
from headway.rehearsal.request_reader import RequestedConversation
from headway.rehearsal.scripts import Scripts

BYTES_PER_TOKEN = 4
NO_CLAIM = Tokens()
BAD_ARGUMENTS = ('{"path": "README.md", "lim', '{"path": 7, "nonsense": true}')
_PLACEHOLDER = re.compile(r"\{\{(?:id:(?P<child>[^{}]+)|(?P<name>[a-z][a-z0-9_]*))\}\}")


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
        scripted: True if it is a call of the playbook; waits, summaries and faults are not.
        nonsense: The fault of the model that it is.
    """

    mark: str
    text: str
    calls: tuple[Call, ...] = ()
    stop: str | None = None
    tokens: Tokens = NO_CLAIM
    latency_ms: Latency = 0
    scripted: bool = True
    nonsense: Nonsense | None = None


def reply_at(scripts: Scripts, place: Place, talk: RequestedConversation) -> Reply:
    """The answer at this place.

    Raises:
        NoPlaceError: The script is at its end, or asks for the id of a child that was never spawned.
    """
    playbook = scripts.playbook
    mark = _digest(place.who, str(place.step), str(place.turns))[:16]
    if talk.words_only:
        return Reply(mark, so_far(place), latency_ms=playbook.latency_ms, scripted=False)
    step = step_at(scripts, place, talk)
    latency = playbook.latency_ms if step.latency_ms is None else step.latency_ms
    models = tuple(fault for fault in playbook.faults if not fault.is_outage)
    fault = drawn(models, playbook.seed, place.asker, place.nonsense, place.step, place.turns)
    if fault is not None and fault.nonsense is not None:
        return _nonsense(fault.nonsense, mark, place, latency)
    if len(place.handoffs) < step.after_handoffs:
        words = f"{OWN_WORDS}waiting for {step.after_handoffs} handoffs)"
        wait = Call(_call_id(place, place.turns, "wait"), "wait", "{}")
        return Reply(mark, words, (wait,), latency_ms=latency, scripted=False)
    fill = _Filling(scripts[place.script].values, talk, place)
    calls = () if step.stop in {"refusal", "empty"} else tuple(_calls(step, place, fill))
    text = "" if step.stop == "empty" else fill.text(step.text or "")
    tokens = Tokens(input=step.tokens.input, output=step.tokens.output or playbook.tokens_out)
    return Reply(mark, text, calls, step.stop, tokens, latency)


def _nonsense(kind: Nonsense, mark: str, place: Place, latency: Latency) -> Reply:
    words = f"{NONSENSE_WORDS}{kind})"
    id_ = _call_id(place, place.turns, "fault")
    calls: tuple[Call, ...] = ()
    match kind:
        case "unknown_tool":
            calls = (Call(id_, "consult_the_oracle", '{"question": "what now?"}'),)
        case "bad_arguments":
            calls = (Call(id_, "read_file", BAD_ARGUMENTS[pick(len(BAD_ARGUMENTS), mark)]),)
        case "empty":
            words = BLANK
        case "toolless" | "refusal":
            pass
    stop = "refusal" if kind == "refusal" else None
    return Reply(mark, words, calls, stop, latency_ms=latency, scripted=False, nonsense=kind)


def _calls(step: Step, place: Place, fill: "_Filling") -> Iterator[Call]:
    for index, use in enumerate(step.tools):
        arguments = orjson.dumps(fill.value(use.args)).decode()
        if step.stop == "length" and index == len(step.tools) - 1:
            arguments = arguments[: len(arguments) // 2]
        yield Call(_call_id(place, index), use.name, arguments)


def _call_id(place: Place, index: int, *more: str) -> str:
    return "call_" + _digest(place.who, str(place.step), str(index), *more)[:24]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Filling:
    """Fills in the meaning of `{{...}}`: a value of the script, or the key of a child; every other brace stays."""

    values: Mapping[str, str]
    talk: RequestedConversation
    place: Place

    def text(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._found, text) if "{{" in text else text

    def value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {name: self.value(inner) for name, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
            case _:
                return value

    def _found(self, found: re.Match[str]) -> str:
        if found["child"]:
            return self._child(found["child"].strip())
        return self.values.get(found["name"], found[0])

    def _child(self, title: str) -> str:
        for output in self.talk.newest_answers:
            for entry in _objects(_json_in(output)):
                if isinstance(entry.get("id"), str) and entry.get("title") in {title, in_history(title)}:
                    return str(entry["id"])
        for text in self.talk.told:
            for key, _, told in handoffs_in(text):
                if told in {title, in_history(title)}:
                    return key
        raise NoPlaceError(f"{self.place.who}, call {self.place.step + 1}: no child titled '{title}' was spawned")


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
