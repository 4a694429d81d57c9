"""Guards: what a log says of an agent that goes in circles."""

from typing import Any

import pytest

from headway.agents.loop.guards import call_key
from headway.eventlog.events.conversation import Message, Reminder
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.views.guards import Guards, Stop
from tests.support import events as say
from tests.support.events import event


def reply(stop: str = "tool", text: str = "", calls: int = 1) -> AnyEvent:
    return event(say.reply(text, *[say.call()] * calls, stop=stop))


def result(key: str = "k", digest: str = "d", **flags: Any) -> AnyEvent:
    return event(say.answer(key=key, digest=digest, **flags))


def guards_of(events: list[AnyEvent]) -> Guards:
    guards = Guards()
    for each in events:
        guards.apply(each)
    return guards


def calls(*results: AnyEvent) -> list[AnyEvent]:
    return [entry for one in results for entry in (reply(), one)]


def test_a_third_equal_result_is_reminded_of_once() -> None:
    events = calls(*[result()] * 3)
    assert guards_of(events).reminders_due == ["repeat"]
    assert guards_of([*events, event(Reminder(text="", why="repeat"))]).reminders_due == []
    assert guards_of(calls(*[result()] * 2)).reminders_due == []


def test_the_fifth_is_refused_and_after_the_seventh_the_agent_is_stopped() -> None:
    assert not guards_of(calls(*[result()] * 3)).is_refused("k")
    assert guards_of(calls(*[result()] * 4)).is_refused("k")
    refused = [result(digest="other", refused=True, error=True)]
    assert guards_of(calls(*[result()] * 4, *refused * 2)).stop_due is None
    assert guards_of(calls(*[result()] * 4, *refused * 3)).stop_due == Stop("stalled")


def test_two_calls_in_turn_are_seen_as_a_circle_too() -> None:
    events = calls(*[result("a"), result("b")] * 4)
    assert guards_of(events).is_refused("a")
    assert guards_of(events).is_refused("b")


@pytest.mark.parametrize(
    "between",
    [result("edit", "done", progress=True), event(Message(text="news"))],
    ids=["something was done", "something was told"],
)
def test_news_makes_a_repeat_a_new_call(between: AnyEvent) -> None:
    assert not guards_of([*calls(*[result()] * 4), reply(), between]).is_refused("k")


def test_doing_the_same_over_and_over_is_no_news() -> None:
    events = calls(*[result(), result("edit", "done", progress=True)] * 4)
    assert guards_of(events).is_refused("edit")


def test_another_result_starts_the_count_anew() -> None:
    assert not guards_of(calls(*[result()] * 4, result(digest="new"))).is_refused("k")


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([reply("text", "a", 0), reply("text", "b", 0)], None),
        ([reply("text", "a", 0), reply("empty", "", 0), reply("text", " ", 0)], Stop("mute", "a")),
        ([reply("empty", "", 0)] * 3, Stop("empty")),
        ([reply("refusal", "no", 0)] * 2, Stop("refused")),
        ([reply("refusal", "no", 0), reply("text", "hm", 0)], None),
        ([reply("length", "", 2)] * 3, Stop("empty")),
        ([reply("text", "a", 0), reply("text", "b", 0), event(Message(text="x")), reply("text", "c", 0)], None),
        ([reply("text", "a", 0), reply("text", "b", 0), reply(), reply("text", "c", 0)], None),
    ],
)
def test_three_idle_replies_or_two_refusals_in_a_row_stop_the_agent(
    replies: list[AnyEvent], expected: Stop | None
) -> None:
    assert guards_of(replies).stop_due == expected


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (reply("text", "a", 0), ["use_tool"]),
        (reply("empty", "", 0), ["use_tool"]),
        (reply("length", "", 1), ["output_limit"]),
        (reply("refusal", "no", 0), ["refused"]),
        (reply(), []),
    ],
)
def test_an_idle_reply_is_reminded_of(last: AnyEvent, due: list[str]) -> None:
    assert guards_of([last]).reminders_due == due


def test_five_errors_in_a_row_are_reminded_of_once_for_each_five() -> None:
    errors = [result(f"k{n}", error=True) for n in range(5)]
    events = calls(*errors)
    assert guards_of(events).reminders_due == ["errors"]
    told = [*events, event(Reminder(text="", why="errors"))]
    assert guards_of([*told, *calls(*errors[:4])]).reminders_due == []
    assert guards_of([*calls(*errors[:4], result("fine"), *errors[4:])]).reminders_due == []


def test_a_call_is_known_whatever_the_order_and_spacing_of_its_arguments() -> None:
    assert call_key("t", '{"a": 1, "b": 2}') == call_key("t", '{"b":2,"a":1}')
    assert call_key("t", "not json") != call_key("t", "{}")


def test_every_twenty_five_replies_the_direction_is_questioned() -> None:
    events = calls(*[result(f"k{n}") for n in range(25)])
    assert guards_of(events).reminders_due == ["align"]
    told = [*events, event(Reminder(text="", why="align"))]
    assert guards_of([*told, *calls(*[result(f"n{n}") for n in range(24)])]).reminders_due == []
