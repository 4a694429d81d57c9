"""The context as a fold of the log: the same however it is taken in, and only of the newest epoch."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.agent.context import Context
from headway.domain.events import Event, EventType
from headway.domain.ids import AgentId, RunName
from headway.model.adapter import Profile
from headway.model.chat import ChatAdapter
from headway.model.failures import Circumstance

ADAPTER = ChatAdapter(Profile(), Circumstance("http://here"))


def event(seq: int, kind: EventType, epoch: int = 0, **data: Any) -> Event:
    agent, run = AgentId("run/root-00000000"), RunName("run")
    where = {"run": run, "agent": agent, "parent": AgentId(run), "role": "planner"}
    return Event.model_validate({"ts": 0, "seq": seq, "lease": 1, "type": kind, "data": data, "epoch": epoch, **where})


def test_each_kind_of_event_is_rendered_as_the_provider_wants_it() -> None:
    context = Context(
        ADAPTER,
        [
            event(0, "message", text="Do it."),
            event(1, "llm.request", step=0),
            event(2, "llm.response", stop="tool", items=[{"role": "assistant", "content": "x"}]),
            event(3, "tool.call", call_id="c"),
            event(4, "tool.result", call_id="c", text="done"),
            event(5, "reminder", text="Mind."),
        ],
    )
    assert [bytes(item) for item in context.items] == [
        b'{"role":"user","content":"Do it."}',
        b'{"role":"assistant","content":"x"}',
        b'{"role":"tool","tool_call_id":"c","content":"done"}',
        b'{"role":"user","content":"Mind."}',
    ]
    assert context.nbytes == sum(map(len, context.items))


kinds = st.sampled_from(["message", "reminder", "tool.result", "llm.request", "scratchpad"])


@given(st.lists(st.tuples(kinds, st.booleans(), st.text(max_size=5)), max_size=30), st.data())
def test_taking_events_in_one_by_one_is_the_same_as_all_at_once(
    steps: list[tuple[EventType, bool, str]], data: st.DataObject
) -> None:
    epoch, events = 0, []
    for seq, (kind, opens, text) in enumerate(steps):
        epoch += opens
        events.append(event(seq, kind, epoch, text=text, call_id="c"))
    cut = data.draw(st.integers(0, len(events)))
    resumed = Context(ADAPTER, events[:cut])
    for one in events[cut:]:
        resumed.take(one)
    talk = [one for one in events if one.type in {"message", "reminder", "tool.result"}]
    newest = [one for one in talk if one.epoch == talk[-1].epoch]
    assert resumed.items == Context(ADAPTER, events).items == Context(ADAPTER, newest).items
    assert len(resumed.items) == len(newest)
