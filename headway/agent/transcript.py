"""A stretch of a conversation as text: for the start of the next epoch, and for a model that was not there."""

from collections.abc import Iterable, Sequence

from headway.agent.context import HANDOVER
from headway.agent.excerpt import cut, cut_middle
from headway.domain.events import Event

TEXT_CHARS = 4_000
ARGUMENTS_CHARS = 1_000
RESULT_CHARS = 2_000


def exchanges(events: Iterable[Event]) -> list[str]:
    """What was said and done, an entry each; what is long is cut, and thoughts are left out."""
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


def _entry(event: Event) -> str:
    data = event.data
    match event.type:
        case "message":
            return f"[message] {cut(data['text'], TEXT_CHARS)}"
        case "reminder" if data.get("why") != HANDOVER:
            return f"[reminder] {cut(data['text'], TEXT_CHARS)}"
        case "llm.response" if not data.get(HANDOVER):
            calls = [f"[call] {call['name']} {cut(call['arguments'], ARGUMENTS_CHARS)}" for call in data["calls"]]
            return "\n".join([*([f"[you] {cut(data['text'], TEXT_CHARS)}"] if data["text"] else []), *calls])
        case "tool.result":
            return f"[answer of {data['name']}] {cut_middle(data['text'], RESULT_CHARS)}"
        case _:
            return ""
