"""The context as a fold of the log: the same however it is taken in, and only of the newest epoch."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from headway.agents.loop.context import Context
from headway.eventlog.events.conversation import Message, Reminder, ToolCallBegun, ToolResult
from headway.eventlog.events.envelope import Body
from headway.eventlog.events.work import Scratchpad
from headway.models.adapter import Profile
from headway.models.chat import ChatAdapter
from headway.models.failures import Circumstance
from tests.support.events import answer, event, reply, request

ADAPTER = ChatAdapter(Profile(), Circumstance("http://here"))


def test_each_kind_of_event_is_rendered_as_the_provider_wants_it() -> None:
    context = Context(
        ADAPTER,
        [
            event(Message(text="Do it."), 0),
            event(request(), 1),
            event(reply(items=({"role": "assistant", "content": "x"},)), 2),
            event(ToolCallBegun(call_id="c", name="shell", arguments="{}"), 3),
            event(answer(text="done"), 4),
            event(Reminder(text="Mind.", why="repeat"), 5),
        ],
    )
    assert [bytes(item) for item in context.items] == [
        b'{"role":"user","content":"Do it."}',
        b'{"role":"assistant","content":"x"}',
        b'{"role":"tool","tool_call_id":"c","content":"done"}',
        b'{"role":"user","content":"Mind."}',
    ]
    assert context.nbytes == sum(map(len, context.items))


KINDS: dict[str, Callable[[str], Body]] = {
    "message": lambda text: Message(text=text),
    "reminder": lambda text: Reminder(text=text, why="repeat"),
    "answer": lambda text: answer(text=text),
    "request": lambda _: request(),
    "scratchpad": lambda text: Scratchpad(content=text),
}
kinds = st.sampled_from(list(KINDS.values()))


@given(st.lists(st.tuples(kinds, st.booleans(), st.text(max_size=5)), max_size=30), st.data())
def test_taking_events_in_one_by_one_is_the_same_as_all_at_once(
    steps: list[tuple[Callable[[str], Body], bool, str]], data: st.DataObject
) -> None:
    epoch, events = 0, []
    for seq, (kind, opens, text) in enumerate(steps):
        epoch += opens
        events.append(event(kind(text), seq, epoch=epoch))
    cut = data.draw(st.integers(0, len(events)))
    resumed = Context(ADAPTER, events[:cut])
    for one in events[cut:]:
        resumed.take(one)
    conversation = [one for one in events if isinstance(one.body, Message | Reminder | ToolResult)]
    newest = [one for one in conversation if one.epoch == conversation[-1].epoch]
    assert resumed.items == Context(ADAPTER, events).items == Context(ADAPTER, newest).items
    assert len(resumed.items) == len(newest)
