"""Property: whatever a playbook says, both wire formats lead an agent through it alike."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.headings import task_heading
from headway.models.adapter import Profile, WireAdapter
from headway.models.chat import ChatAdapter
from headway.models.failures import Circumstance
from headway.models.responses import ResponsesAdapter
from headway.models.turn import AssistantTurn, ToolOutput, Turn, UserMessage
from headway.rehearsal import wire
from headway.rehearsal.part import OWN_WORDS
from headway.rehearsal.place import place_of
from headway.rehearsal.playbook import Playbook
from headway.rehearsal.reply import reply_at
from headway.rehearsal.request_reader import Api, read_conversation
from headway.rehearsal.scripts import Scripts

texts = st.text(max_size=20).filter(lambda text: not text.startswith(OWN_WORDS))
arguments = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-9, 9) | st.none(), max_size=3)
tools = st.lists(st.dictionaries(st.sampled_from(["shell", "land"]), arguments, min_size=1, max_size=1), max_size=3)
steps = st.fixed_dictionaries(
    {
        "text": texts,
        "tools": tools,
        "stop": st.sampled_from(["empty", "refusal", "length"]),
        "repeat": st.integers(1, 3),
    }
) | st.fixed_dictionaries({"text": texts.filter(bool), "tools": tools})


def led(api: Api, adapter: WireAdapter, playbook: Playbook, count: int, *, nudged: bool) -> list[Turn]:
    key = "messages" if api == "chat" else "input"
    items = [adapter.encode(UserMessage(task_heading("T")))]
    scripts = Scripts(playbook)
    turns = []
    for _ in range(count):
        talk = read_conversation(api, {key: orjson.loads(b"[" + b",".join(items) + b"]")})
        reply = reply_at(scripts, place_of(scripts, talk), talk)
        turn = adapter.decode(wire.answer(api, reply, "m", 0))
        items.append(adapter.encode(AssistantTurn(turn.raw)))
        items += [adapter.encode(ToolOutput(call.id, "out")) for call in turn.calls]
        if nudged:
            items.append(adapter.encode(UserMessage("go on")))
        turns.append(turn)
    return turns


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, min_size=1, max_size=6), st.booleans())
def test_every_step_comes_once_and_alike(calls: list[dict[str, Any]], nudged: bool) -> None:
    playbook = Playbook.model_validate({"name": "p", "tasks": [{"title": "T", "calls": calls}]})
    expected = [step for step in playbook.tasks[0].calls for _ in range(step.repeat)]
    at = Circumstance("here")
    chat = led("chat", ChatAdapter(Profile(), at), playbook, len(expected), nudged=nudged)
    responses = led("responses", ResponsesAdapter(Profile(), at), playbook, len(expected), nudged=nudged)
    assert [(turn.items, turn.stop) for turn in chat] == [(turn.items, turn.stop) for turn in responses]
    for step, turn in zip(expected, chat, strict=True):
        if step.stop is None:
            assert [call.name for call in turn.calls] == [use.name for use in step.tools]
            assert turn.text == (step.text or "")
        elif step.stop == "length":
            assert turn.stop == "length"
    ids = [call.id for turn in chat for call in turn.calls]
    assert len(set(ids)) == len(ids)
