"""Lines that were recorded before events had types are read, and are written again as they were."""

import json
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headway.agents.tools.catalogue import RESULTS
from headway.domain.results import OtherResult, Result
from headway.domain.retention import Keep, Record
from headway.eventlog.blobs import Blobs
from headway.eventlog.codec import Codec
from headway.eventlog.events.conversation import Call, ToolResult
from headway.eventlog.events.envelope import AnyEvent, Body, OtherBody
from headway.eventlog.events.types import BODIES
from headway.sandbox.outcome import Ran

CODEC = Codec(RESULTS)
NO_BLOBS = Blobs(Path("/nowhere"))


@cache
def recorded() -> list[bytes]:
    """One line for each set of fields that each type of event had in some hundred runs of agents."""
    return (Path(__file__).parent / "recorded.jsonl").read_bytes().splitlines()


def read(line: bytes, codec: Codec = CODEC) -> AnyEvent:
    return next(codec.events_in([(0, line)], first=json.loads(line)["seq"])).event


def written(event: AnyEvent) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(CODEC.encode(event, event.body.wire(), NO_BLOBS, inline=True))
    return whole


def meaning(record: Record, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line but for those that say what their absence says."""
    fields = type(record).model_fields
    defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    plain = {name: json.loads(json.dumps(value)) for name, value in defaults.items() if _is_json(value)}
    return {name: value for name, value in data.items() if name not in plain or value != plain[name]}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def holds(now: Any, then: Any) -> bool:
    """True if everything of `then` is in `now`. A model within a body is written whole, with the fields of today."""
    match now, then:
        case dict(), dict():
            return all(name in now and holds(now[name], each) for name, each in then.items())
        case list(), list():
            return len(now) == len(then) and all(map(holds, now, then))
        case _:
            return bool(now == then)


def test_every_type_of_event_was_recorded() -> None:
    assert {json.loads(line)["type"] for line in recorded()} == set(BODIES)


def test_what_was_recorded_is_written_again_as_it_was() -> None:
    for line in recorded():
        event, before = read(line), json.loads(line)
        after = written(event)
        assert not isinstance(event.body, OtherBody)
        assert {name: before[name] for name in before if name != "data"} == {
            name: after[name] for name in after if name != "data"
        }
        kind: Record = event.body
        now, then = meaning(kind, after["data"]), meaning(kind, before["data"])
        if isinstance(kind, ToolResult) and kind.result is not None:
            now, then = meaning(kind.result, now), meaning(kind.result, then)
        assert now.keys() == then.keys()
        assert holds(now, then)


def test_no_field_of_what_was_recorded_is_unknown() -> None:
    for line in recorded():
        data = json.loads(line)["data"]
        body = read(line).body
        known = set(type(body).model_fields)
        if isinstance(body, ToolResult) and body.result is not None:
            known |= set(type(body.result).model_fields)
        assert data.keys() <= known, line


@given(data=st.data())
def test_a_line_with_other_words_in_it_is_written_again_as_it_was(data: st.DataObject) -> None:
    fields = json.loads(data.draw(st.sampled_from(recorded())))
    places = [place for place in _strings(fields["data"]) if place[-1] != "$blob"]
    if places:
        _put(fields["data"], data.draw(st.sampled_from(places)), data.draw(st.text(max_size=30)))
    line = json.dumps(fields).encode()
    try:
        body = CODEC.body(fields["type"], fields["data"])
    except ValidationError:  # no word of ours, where only some are
        return
    assert read(line).body == body
    again = written(read(line))
    assert CODEC.body(again["type"], again["data"]) == body


def _strings(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    match value:
        case str():
            return [place] if place else []
        case dict():
            return [found for key, each in value.items() for found in _strings(each, (*place, key))]
        case list():
            return [found for key, each in enumerate(value) for found in _strings(each, (*place, key))]
        case _:
            return []


def _put(value: Any, place: tuple[Any, ...], text: str) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = text


# Strangers


def line_of(kind: str, **data: Any) -> bytes:
    envelope = {"v": 1, "ts": 1.0, "seq": 0, "lease": 1, "run": "r", "agent": "r/a", "parent": "r", "role": "worker"}
    return json.dumps({**envelope, "type": kind, "data": data}).encode()


def test_a_type_that_this_version_does_not_know_keeps_its_json() -> None:
    event = read(line_of("agent.dreamt", of=["sheep"], keep=3))
    assert (event.type, event.body.wire()) == ("agent.dreamt", {"of": ["sheep"], "keep": 3})
    assert written(event)["data"] == {"of": ["sheep"], "keep": 3}


def test_the_result_of_a_tool_that_no_table_names_keeps_its_json() -> None:
    line = line_of("tool.result", call_id="c", name="dig", text="Deep.", depth=3, layers=["clay"])
    body = read(line).body
    assert isinstance(body, ToolResult)
    assert isinstance(body.result, OtherResult)
    assert body.result.raw == {"depth": 3, "layers": ["clay"]}
    assert written(read(line))["data"] == json.loads(line)["data"]


def test_a_tool_brings_its_result_by_a_row_in_the_table() -> None:
    class Dug(Result):
        keep: ClassVar[Keep] = Keep.DROP
        depth: int

    line = line_of("tool.result", call_id="c", name="dig", text="Deep.", depth=3)
    codec = Codec({**RESULTS, "dig": Dug})
    body = read(line, codec).body
    assert isinstance(body, ToolResult)
    assert body.result == Dug(depth=3)
    assert body.shown is Keep.DROP
    assert body.wire() == json.loads(line)["data"]


# Retention


def test_a_record_that_does_not_state_what_is_kept_of_it_is_none() -> None:
    with pytest.raises(TypeError, match="does not state"):
        type("Silent", (Body,), {"__module__": __name__})


def test_the_answer_of_a_tool_shows_its_words_where_the_tool_says_so() -> None:
    for line in recorded():
        body = read(line).body
        if isinstance(body, ToolResult):
            assert body.shown is (Keep.DROP if body.result is None else body.result.keep)
        else:
            assert body.shown is body.keep


def test_a_call_that_is_begun_is_written_as_it_always_was() -> None:
    assert Call(id="1", name="shell", arguments="{}").wire() == {"id": "1", "name": "shell", "arguments": "{}"}
    ran = Ran(command="ls", exit_code=0, note="", cpu_s=0.5)
    said = ToolResult(call_id="1", name="shell", text="x", result=ran).wire()
    assert said == {
        "call_id": "1",
        "name": "shell",
        "text": "x",
        "command": "ls",
        "exit_code": 0,
        "note": "",
        "cpu_s": 0.5,
        "peak_kb": None,
    }
