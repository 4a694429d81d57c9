"""The model's context as a fold of an agent log: the log is the only state, and this is how a model reads it."""

from collections.abc import Iterable

from headway.domain.events import Event
from headway.model.adapter import WireAdapter
from headway.model.turn import AssistantTurn, Message, ToolOutput, UserMessage


class Context:
    """The serialised messages of the newest epoch. Grows with each event; a new epoch starts it anew.

    Attributes:
        items: The messages, rendered once.
        nbytes: Their size.
    """

    def __init__(self, adapter: WireAdapter, events: Iterable[Event] = ()) -> None:
        self._adapter = adapter
        self.items: list[bytes] = []
        self.nbytes = 0
        self.epoch = 0
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take in the next event of the live line."""
        message = message_of(event)
        if message is None:
            return
        if event.epoch != self.epoch:
            self.items, self.nbytes, self.epoch = [], 0, event.epoch
        item = self._adapter.encode(message)
        self.items.append(item)
        self.nbytes += len(item)


def message_of(event: Event) -> Message | None:
    """What an event says to the model, or was said by it; None for the many that are no part of the conversation."""
    match event.type:
        case "message" | "reminder":
            return UserMessage(event.data["text"])
        case "llm.response":
            return AssistantTurn(tuple(event.data["items"]))
        case "tool.result":
            return ToolOutput(event.data["call_id"], event.data["text"])
        case _:
            return None
