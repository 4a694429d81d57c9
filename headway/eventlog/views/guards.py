"""Guards: the signs in an agent's epoch that it goes in circles.

Reminders and stops follow from the log alone. So an agent that is resumed from its log is reminded, refused and stopped
exactly as one that was never interrupted.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from headway.eventlog.events.conversation import LlmResponse, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent

REMIND_AT = 3
REFUSE_AT = 5
STALL_AT = 7
MUTE_REPLIES = 3
REFUSALS = 2
ERRORS_IN_A_ROW = 5
ERRORS_AT_MOST = 30
"""An agent that gets nothing done but errors is reminded every five, and stopped at this many."""

CALLS_KEPT = 200
"""Different calls, the newest ones, among which repeats are found."""

WORDS_KEPT = 4_000
"""Characters of an idle reply: the last words of an agent that called no tool."""

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


class Guards:
    """Takes the events of one epoch.

    Keeps hashes and counts of at most `CALLS_KEPT` calls, and the words of at most `MUTE_REPLIES` replies.
    """

    def __init__(self) -> None:
        self._streaks: dict[str, tuple[str, int]] = {}
        self._done: dict[str, bool] = {}
        self._errors = self._untold_errors = self._replies = 0
        self._idle: deque[LlmResponse] = deque(maxlen=MUTE_REPLIES)
        self._fault: Reason | None = None
        self._replied = False
        self._answered: list[str | None] = []
        self._given: set[str] = set()

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the epoch."""
        match event.body:
            case Message():
                self._streaks.clear()
                self._idle.clear()
                self._errors = self._untold_errors = 0
            case Reminder(why=why):
                self._given.add(why)
                self._untold_errors = 0 if why == "errors" else self._untold_errors
                self._replies = 0 if why == "align" else self._replies
            case LlmResponse() as reply:
                self._take_reply(reply)
            case ToolResult() as answer:
                self._answered.append(answer.key)
                self._errors = self._errors + 1 if answer.error and not answer.progress else 0
                self._untold_errors = self._untold_errors + 1 if answer.error else 0
                self._take_call(answer)

    def _take_reply(self, reply: LlmResponse) -> None:
        self._replied = True
        self._replies += 1
        self._answered.clear()
        self._given.clear()
        self._fault = _fault_of(reply)
        if is_idle(reply):
            self._idle.append(reply.model_copy(update={"text": reply.text[:WORDS_KEPT], "calls": (), "items": ()}))
        else:
            self._idle.clear()

    def _take_call(self, answer: ToolResult) -> None:
        """Count how often each call came in a row with the same result, since something new was done or learnt."""
        if answer.key is None:
            return
        key, result = answer.key, answer.digest or ""
        if answer.progress:
            if self._done.pop(key + result, None) is None:
                self._streaks.clear()
            self._done[key + result] = True
        before, count = self._streaks.pop(key, (result, 0))
        again = (answer.refused and count) or before == result
        self._streaks[key] = (before, count + 1) if again else (result, 1)
        _forget(self._streaks)
        _forget(self._done)

    def is_refused(self, key: str) -> bool:
        """True if this call has been made so often with the same result that it is not run again."""
        return self._count(key) >= REFUSE_AT - 1

    @property
    def reminders_due(self) -> list[Reason]:
        """Reminders that are due before the agent's next call, once each, after all calls of its reply are answered."""
        if not self._replied:
            return []
        due: list[Reason] = [] if self._fault is None else [self._fault]
        if any(self._count(key) == REMIND_AT for key in self._answered):
            due.append("repeat")
        if self._answered and self._untold_errors >= ERRORS_IN_A_ROW:
            due.append("errors")
        if self._replies >= ALIGN_EVERY:
            due.append("align")
        return [reminder for reminder in due if reminder not in self._given]

    @property
    def stop_due(self) -> Stop | None:
        """Reason to stop the agent now, or None."""
        if any(self._count(key) >= STALL_AT for key in self._answered):
            return Stop("stalled")
        if self._errors >= ERRORS_AT_MOST:
            return Stop("errors")
        if [reply.stop for reply in self._idle][-REFUSALS:] == ["refusal"] * REFUSALS:
            return Stop("refused")
        if len(self._idle) < MUTE_REPLIES:
            return None
        text = next((reply.text for reply in reversed(self._idle) if reply.text.strip()), "")
        return Stop("mute", text) if text else Stop("empty")

    def _count(self, key: str | None) -> int:
        return 0 if key is None else self._streaks.get(key, ("", 0))[1]


def _forget(kept: dict[str, Any]) -> None:
    if len(kept) > CALLS_KEPT:
        del kept[next(iter(kept))]


def is_idle(reply: LlmResponse) -> bool:
    """True if a reply holds no call that may be run: those of a reply that was cut or filtered may be incomplete."""
    return not reply.calls or reply.stop in {"length", "refusal"}


def _fault_of(reply: LlmResponse) -> Reason | None:
    match reply:
        case LlmResponse(stop="length"):
            return "output_limit"
        case LlmResponse(stop="refusal"):
            return "refused"
        case LlmResponse(calls=()):
            return "use_tool"
        case _:
            return None
