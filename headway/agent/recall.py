"""What an agent keeps in memory of its own past: decisions and facts; words stay in the log."""

from typing import Any

from headway.domain.events import Event
from headway.trace.recall import Recall

PASSING = frozenset(
    {"llm.request", "llm.response", "llm.retry", "tool.call", "edit", "resource.kill", "resource.wait", "compaction"}
)
"""Events that nobody asks for once the next reply is there; what they add up to is counted as they come."""

OF_THE_MOMENT = frozenset({"repeat", "errors", "use_tool", "output_limit", "refused", "align", "handover"})
"""Reminders that hold for the epoch in which they were given."""

WORDS = frozenset(
    {"text", "call_id", "name", "form", "key", "digest", "error", "progress", "refused", "opens"}
    | {"command", "exit_code", "note", "cpu_s", "peak_kb"}
)
"""What a message or an answer says to the model, and what guards compare; all else in it is a fact or a decision."""

WINDOW_TEXT = 400
"""Characters that are kept of what a model said or ran, for guards that quote it."""


class _Past:
    """See `headway.trace.recall.Recall`."""

    newest_only = frozenset({"scratchpad"})

    def __call__(self, event: Event) -> Event | None:
        data = event.data
        match event.type:
            case kind if kind in PASSING:
                return None
            case "reminder":
                return None if data.get("why") in OF_THE_MOMENT else _with(event, data | {"text": ""})
            case "tool.result":
                facts = {name: _thin(name, value) for name, value in data.items() if name not in WORDS}
                return _with(event, facts) if facts else None
            case "message":
                return _with(event, data | {"text": ""}) if data.keys() - WORDS else None
            case "turn.end":
                return _with(event, data | {"outcome": _thin_outcome(data["outcome"])})
            case _:
                return event


PAST: Recall = _Past()
"""For the loops of planners and workers."""


def in_window(event: Event) -> Event:
    """An event of this epoch as guards look back at it: what it did, not what it said."""
    data = event.data
    match event.type:
        case "llm.response":
            calls = [{"id": call["id"], "name": call["name"], "arguments": ""} for call in data["calls"]]
            kept = {name: value for name, value in data.items() if name not in {"items", "usage", "calls", "text"}}
            return _with(event, kept | {"text": data["text"][:WINDOW_TEXT], "calls": calls})
        case "tool.result" if "command" in data:
            return _with(event, data | {"text": "", "command": data["command"][:WINDOW_TEXT]})
        case _:
            return _with(event, data | {"text": ""})


def _thin(name: str, value: Any) -> Any:
    """Of what was asked for, the titles and places: the whole of it lies where its ref says."""
    if name != "items" or not isinstance(value, list):
        return value
    return [{key: item[key] for key in ("title", "paths", "kind") if key in item} for item in value]


def _thin_outcome(outcome: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in outcome.items() if key not in {"board", "why", "finish"}}


def _with(event: Event, data: dict[str, Any]) -> Event:
    return Event.trusted(event.__dict__ | {"data": data})
