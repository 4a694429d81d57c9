"""A stretch of a conversation as text: for the start of the next epoch, and for a model that was not there."""

from collections.abc import Iterable, Sequence

from headway.eventlog.events.conversation import LlmResponse, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.views.epoch import HANDOVER
from headway.system.excerpt import cut, cut_middle

TEXT_CHARS = 4_000
ARGUMENTS_CHARS = 1_000
RESULT_CHARS = 2_000


def exchanges(events: Iterable[AnyEvent]) -> list[str]:
    """The messages and actions, an entry each; long ones are cut, and thoughts are left out."""
    said = []
    for event in events:
        text = _entry(event)
        if text:
            said.append(text)
    return said


def tail_of(entries: Sequence[str], size: int) -> str:
    """The newest entries that fit into so many bytes."""
    kept: list[str] = []
    for entry in reversed(entries):
        size -= len(entry.encode()) + 2
        if size < 0:
            break
        kept.insert(0, entry)
    return "\n\n".join(kept)


def _entry(event: AnyEvent) -> str:
    match event.body:
        case Message(text=text):
            return f"[message] {cut(text, TEXT_CHARS)}"
        case Reminder(text=text, why=why) if why != HANDOVER:
            return f"[reminder] {cut(text, TEXT_CHARS)}"
        case LlmResponse(text=text, calls=calls, handover=False):
            called = [f"[call] {call.name} {cut(call.arguments, ARGUMENTS_CHARS)}" for call in calls]
            return "\n".join([*([f"[you] {cut(text, TEXT_CHARS)}"] if text else []), *called])
        case ToolResult(name=name, text=text):
            return f"[answer of {name}] {cut_middle(text, RESULT_CHARS)}"
        case _:
            return ""
