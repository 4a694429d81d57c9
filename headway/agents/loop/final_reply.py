"""The last word: when an agent's budget is used up, one reply of which only a handoff is carried out. Pure.

The request offers all tools as before. It is the longest one of its conversation, and with other tools nothing of
it would come from a prompt cache.
"""

from collections.abc import Sequence

from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.talk import LlmResponse, LlmRetry, Reminder

LAST_WORD = "last_word"
"""Name of its reminder in the log."""


def was_asked_for(events: Sequence[AnyEvent]) -> bool:
    """True if the agent was told that its next reply is its last."""
    return any(_asks(event) for event in events)


def was_had(events: Sequence[AnyEvent]) -> bool:
    """True if the reply came, or could not come."""
    asked = [at for at, event in enumerate(events) if _asks(event)]
    return bool(asked) and any(isinstance(event.body, LlmResponse | LlmRetry) for event in events[asked[-1] :])


def is_newest_reply(events: Sequence[AnyEvent]) -> bool:
    """True if the newest reply is the last word: its calls other than `finish` are not run."""
    replied = False
    for event in reversed(events):
        if isinstance(event.body, LlmResponse):
            if replied:
                return False
            replied = True
        elif replied and _asks(event):
            return True
    return False


def _asks(event: AnyEvent) -> bool:
    return isinstance(event.body, Reminder) and event.body.why == LAST_WORD
