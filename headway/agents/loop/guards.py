"""Guards: the signs in an agent's log that it goes in circles, pure.

Every function takes the events of the current epoch. Reminders and stops follow from them alone, so an agent that is
resumed from its log is reminded, refused and stopped exactly as one that was never interrupted.

`made` counts each call among them, at least: `made_in(events)`, which a caller that adds events one by one may keep.
Most calls are new, and are then known to be no repeats without a look at hundreds of events: three looks a step were a
tenth of the cost of a step.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.eventlog.events.talk import LlmResponse, Message, Reminder, ToolResult

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
"""Replies after which an agent is asked whether its direction still serves its request."""

Reason = Literal["repeat", "errors", "use_tool", "output_limit", "refused", "align", "scratchpad"]
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
    """The agent does not go on; `text` are its last words, if there are any."""

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
    """Names a call by its tool and arguments, in any order and spacing of the model."""
    return hashlib.sha256(f"{name}\0{_canonical(arguments)}".encode()).hexdigest()[:16]


def digest(result: str | bytes) -> str:
    """Names a result."""
    raw = result if isinstance(result, bytes) else result.encode("utf-8", "replace")
    return hashlib.sha256(raw).hexdigest()[:16]


def made_in(events: Sequence[AnyEvent]) -> Counter[str]:
    """Number of times that each call was made in the window, with any result, by its key."""
    return Counter(answer.key for answer in bodies(events[-WINDOW:], ToolResult) if answer.key is not None)


def is_refused(events: Sequence[AnyEvent], key: str, made: Mapping[str, int] | None = None) -> bool:
    """True if this call has been made so often with the same result that it is not run again."""
    made = made_in(events) if made is None else made
    if made.get(key, 0) < REFUSE_AT - 1:
        return False
    streak = _streaks(events).get(key)
    return streak is not None and streak.count >= REFUSE_AT - 1


def reminders_due(events: Sequence[AnyEvent], made: Mapping[str, int] | None = None) -> list[Reason]:
    """Reminders that are due before the agent's next call, once each, after all calls of its reply are answered."""
    last = _last_response(events)
    if last is None:
        return []
    reply, after = events[last].body, events[last + 1 :]
    given = {reminder.why for reminder in bodies(after, Reminder)}
    due: list[Reason] = []
    match reply:
        case LlmResponse(stop="length"):
            due.append("output_limit")
        case LlmResponse(stop="refusal"):
            due.append("refused")
        case LlmResponse(calls=()):
            due.append("use_tool")
    streaks = _streaks(events) if _newest_made(events, made) >= REMIND_AT else {}
    results = list(bodies(after, ToolResult))
    if any(each.key in streaks and streaks[each.key].count == REMIND_AT for each in results if each.key):
        due.append("repeat")
    if results and _errors_to_tell(events):
        due.append("errors")
    if _replies_since_alignment(events) >= ALIGN_EVERY:
        due.append("align")
    return [reminder for reminder in due if reminder not in given]


def stop_due(events: Sequence[AnyEvent], made: Mapping[str, int] | None = None) -> Stop | None:
    """Reason to stop the agent now, or None."""
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
    said = [reply.text for reply in bodies(events, LlmResponse)][-MUTE_REPLIES:]
    text = next((text for text in reversed(said) if text.strip()), "")
    return Stop("mute", text) if text else Stop("empty")


def _newest_made(events: Sequence[AnyEvent], made: Mapping[str, int] | None) -> int:
    """The count of the most frequent of the newest reply's calls: cheap, and mostly enough to know."""
    made = made_in(events) if made is None else made
    last = _last_response(events)
    newest = events[-1 if last is None else last :]
    return max((made.get(answer.key, 0) for answer in bodies(newest, ToolResult) if answer.key), default=0)


def _streaks(events: Sequence[AnyEvent]) -> dict[str, _Streak]:
    """The number of times that each call came in a row with the same result, since something new was done or learnt."""
    streaks: dict[str, _Streak] = {}
    done: set[tuple[str, str]] = set()
    for event in events[-WINDOW:]:
        answer = event.body
        if isinstance(answer, Message):
            streaks.clear()
        if not isinstance(answer, ToolResult) or answer.key is None:
            continue
        key, result = answer.key, answer.digest or ""
        if answer.progress and (key, result) not in done:
            done.add((key, result))
            streaks.clear()
        before = streaks.get(key)
        if answer.refused and before is not None:
            streaks[key] = _Streak(before.digest, before.count + 1)
        elif before is not None and before.digest == result:
            streaks[key] = _Streak(result, before.count + 1)
        else:
            streaks[key] = _Streak(result, 1)
    return streaks


def _trailing_stops(events: Sequence[AnyEvent]) -> list[str]:
    """Ends of the latest replies that did nothing, newest first, up to the last call that ran, or message."""
    stops: list[str] = []
    for event in reversed(events):
        match event.body:
            case Message():
                break
            case LlmResponse() as reply:
                if not is_idle(reply):
                    break
                stops.append(reply.stop)
    return stops


def is_idle(reply: LlmResponse) -> bool:
    """True if a reply holds no call that may be run: those of a reply that was cut or filtered may be incomplete."""
    return not reply.calls or reply.stop in {"length", "refusal"}


def _errors_in_a_row(events: Sequence[AnyEvent]) -> int:
    errors = 0
    for event in reversed(events):
        match event.body:
            case Message():
                break
            case ToolResult(error=error, progress=progress):
                if not error or progress:
                    break
                errors += 1
    return errors


def _errors_to_tell(events: Sequence[AnyEvent]) -> bool:
    errors = 0
    for event in reversed(events):
        match event.body:
            case Message() | Reminder(why="errors"):
                break
            case ToolResult(error=error):
                if not error:
                    break
                errors += 1
    return errors >= ERRORS_IN_A_ROW


def _replies_since_alignment(events: Sequence[AnyEvent]) -> int:
    replies = 0
    for event in reversed(events):
        match event.body:
            case Reminder(why="align"):
                break
            case LlmResponse():
                replies += 1
    return replies


def _last_response(events: Sequence[AnyEvent]) -> int | None:
    return next((at for at in range(len(events) - 1, -1, -1) if isinstance(events[at].body, LlmResponse)), None)


def _canonical(arguments: str) -> str:
    if len(arguments) > CANONICAL_CHARS:
        return arguments
    try:
        value: Any = orjson.loads(arguments)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # No JSON, or nested deeper than is written again.
        return arguments
