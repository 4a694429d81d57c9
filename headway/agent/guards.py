"""Guards: what an agent's log says of an agent that goes in circles, pure.

Every function takes the events of the current epoch. What is due follows from them alone, so that an agent that is
resumed from its log is reminded, refused and stopped exactly as one that was never interrupted.

`made` is how often each call came among them, at least: `made_in(events)`, which who adds events one by one may keep.
Most calls are new, and are then known to be no repeats without a look at hundreds of events: three looks a step were
a tenth of what a step cost.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from headway.domain.events import Event

REMIND_AT = 3
REFUSE_AT = 5
STALL_AT = 7
MUTE_REPLIES = 3
REFUSALS = 2
ERRORS_IN_A_ROW = 5
ERRORS_AT_MOST = 30
"""An agent that gets nothing done but errors is reminded every five, and stopped at this many."""

WINDOW = 400
"""Events that repeats are looked for in: a step must not cost more, the longer an agent lives."""

CANONICAL_CHARS = 64 << 10
"""Arguments that are longer are compared as they stand."""

ALIGN_EVERY = 25
"""Replies after which an agent is asked whether its direction still serves what it was asked."""

Reminder = Literal["repeat", "errors", "use_tool", "output_limit", "refused", "align", "scratchpad"]
Cause = Literal["stalled", "mute", "empty", "refused", "errors"]


_WHY: dict[Cause, str] = {
    "stalled": f"stalled: the same call was made {STALL_AT} times with the same result",
    "mute": f"{MUTE_REPLIES} replies in a row called no tool",
    "empty": f"{MUTE_REPLIES} replies in a row were empty",
    "errors": f"{ERRORS_AT_MOST} calls in a row ended in an error",
    "refused": f"the model refused {REFUSALS} times in a row",
}


@dataclass(frozen=True)
class Stop:
    """The agent is not going on; `text` is what it said last, where it said anything."""

    cause: Cause
    text: str = ""

    @property
    def why(self) -> str:
        """In words, for a handoff."""
        return _WHY[self.cause]


@dataclass(frozen=True)
class _Streak:
    digest: str
    count: int


def call_key(name: str, arguments: str) -> str:
    """Names a call by its tool and arguments, whatever the order and spacing in which a model wrote them."""
    return hashlib.sha256(f"{name}\0{_canonical(arguments)}".encode()).hexdigest()[:16]


def digest(result: str | bytes) -> str:
    """Names a result."""
    raw = result if isinstance(result, bytes) else result.encode("utf-8", "replace")
    return hashlib.sha256(raw).hexdigest()[:16]


def made_in(events: Sequence[Event]) -> Counter[str]:
    """How often each call was made in the window, with whatever result, by its key."""
    return Counter(event.data["key"] for event in events[-WINDOW:] if "key" in event.data)


def is_refused(events: Sequence[Event], key: str, made: Mapping[str, int] | None = None) -> bool:
    """Whether this call has been made so often with the same result that it is not run again."""
    made = made_in(events) if made is None else made
    if made.get(key, 0) < REFUSE_AT - 1:
        return False
    streak = _streaks(events).get(key)
    return streak is not None and streak.count >= REFUSE_AT - 1


def reminders_due(events: Sequence[Event], made: Mapping[str, int] | None = None) -> list[Reminder]:
    """What the agent is reminded of before its next call, once each, after all calls of its reply are answered."""
    last = _last_response(events)
    if last is None:
        return []
    after = events[last + 1 :]
    given = {event.data.get("why") for event in after if event.type == "reminder"}
    due: list[Reminder] = []
    reply = events[last].data
    if reply["stop"] == "length":
        due.append("output_limit")
    elif reply["stop"] == "refusal":
        due.append("refused")
    elif not reply["calls"]:
        due.append("use_tool")
    streaks = _streaks(events) if _newest_made(events, made) >= REMIND_AT else {}
    results = [event for event in after if event.type == "tool.result"]
    if any(r.data.get("key") in streaks and streaks[r.data["key"]].count == REMIND_AT for r in results):
        due.append("repeat")
    if results and _errors_to_tell(events):
        due.append("errors")
    if _replies_since_alignment(events) >= ALIGN_EVERY:
        due.append("align")
    return [reminder for reminder in due if reminder not in given]


def stop_due(events: Sequence[Event], made: Mapping[str, int] | None = None) -> Stop | None:
    """Why the agent is to be stopped now, or None."""
    # A streak grows by the newest answers only.
    often = _newest_made(events, made) >= STALL_AT
    if often and any(streak.count >= STALL_AT for streak in _streaks(events).values()):
        return Stop("stalled")
    if _errors_in_a_row(events) >= ERRORS_AT_MOST:
        return Stop("errors")
    stops = _trailing_stops(events)
    if stops[:REFUSALS] == ["refusal"] * REFUSALS:
        return Stop("refused")
    if len(stops) < MUTE_REPLIES:
        return None
    said = [e.data["text"] for e in events if e.type == "llm.response"][-MUTE_REPLIES:]
    text = next((text for text in reversed(said) if text.strip()), "")
    return Stop("mute", text) if text else Stop("empty")


def _newest_made(events: Sequence[Event], made: Mapping[str, int] | None) -> int:
    """How often the most frequent of the newest reply's calls was made: cheap, and mostly enough to know."""
    made = made_in(events) if made is None else made
    last = _last_response(events)
    newest = events[-1 if last is None else last :]
    return max((made.get(event.data["key"], 0) for event in newest if "key" in event.data), default=0)


def _streaks(events: Sequence[Event]) -> dict[str, _Streak]:
    """How often each call came in a row with the same result, since something new was done or learnt."""
    streaks: dict[str, _Streak] = {}
    done: set[tuple[str, str]] = set()
    for event in events[-WINDOW:]:
        if event.type == "message":
            streaks.clear()
        key = event.data.get("key") if event.type == "tool.result" else None
        if key is None:
            continue
        result = event.data["digest"]
        if event.data.get("progress") and (key, result) not in done:
            done.add((key, result))
            streaks.clear()
        before = streaks.get(key)
        if event.data.get("refused") and before is not None:
            streaks[key] = _Streak(before.digest, before.count + 1)
        elif before is not None and before.digest == result:
            streaks[key] = _Streak(result, before.count + 1)
        else:
            streaks[key] = _Streak(result, 1)
    return streaks


def _trailing_stops(events: Sequence[Event]) -> list[str]:
    """How the latest replies that did nothing ended, newest first, up to the last call that ran, or message."""
    stops: list[str] = []
    for event in reversed(events):
        if event.type == "message" or (event.type == "llm.response" and not is_idle(event)):
            break
        if event.type == "llm.response":
            stops.append(event.data["stop"])
    return stops


def is_idle(reply: Event) -> bool:
    """Whether a reply holds no call that may be run: those of a reply that was cut or filtered may be incomplete."""
    return not reply.data["calls"] or reply.data["stop"] in {"length", "refusal"}


def _errors_in_a_row(events: Sequence[Event]) -> int:
    errors = 0
    for event in reversed(events):
        if event.type == "message":
            break
        if event.type == "tool.result":
            if not event.data.get("error") or event.data.get("progress"):
                break
            errors += 1
    return errors


def _errors_to_tell(events: Sequence[Event]) -> bool:
    errors = 0
    for event in reversed(events):
        if event.type == "message" or (event.type == "reminder" and event.data.get("why") == "errors"):
            break
        if event.type == "tool.result":
            if not event.data.get("error"):
                break
            errors += 1
    return errors >= ERRORS_IN_A_ROW


def _replies_since_alignment(events: Sequence[Event]) -> int:
    replies = 0
    for event in reversed(events):
        if event.type == "reminder" and event.data.get("why") == "align":
            break
        replies += event.type == "llm.response"
    return replies


def _last_response(events: Sequence[Event]) -> int | None:
    return next((at for at in range(len(events) - 1, -1, -1) if events[at].type == "llm.response"), None)


def _canonical(arguments: str) -> str:
    if len(arguments) > CANONICAL_CHARS:
        return arguments
    try:
        value: Any = orjson.loads(arguments)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # No JSON, or nested deeper than is written again.
        return arguments
