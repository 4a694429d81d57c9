"""The model's context as a fold of an agent log: the log is the only state, and a model reads it in this form."""

from collections.abc import Iterable, Sequence

from headway.eventlog.events.conversation import LlmResponse, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.models import turn
from headway.models.adapter import ToolSchema, WireAdapter
from headway.models.turn import AssistantTurn, ToolOutput, UserMessage


class Context:
    """The serialised messages of the newest epoch. Grows with each event; a new epoch starts it anew.

    Attributes:
        items: The messages, rendered once.
        nbytes: Their size.
    """

    def __init__(self, adapter: WireAdapter, events: Iterable[AnyEvent] = ()) -> None:
        self._adapter = adapter
        self.items: list[bytes] = []
        self.nbytes = 0
        self.epoch = 0
        self._replies: list[int] = []
        for event in events:
            self.take(event)

    def take(self, event: AnyEvent) -> None:
        """Take in the next event of the live line."""
        message = message_of(event)
        if message is None:
            return
        if event.epoch != self.epoch:
            self.items, self.nbytes, self.epoch, self._replies = [], 0, event.epoch, []
        # A copy, because the encoder's own bytes take up 16 KB however few they are.
        item = bytes(memoryview(self._adapter.encode(message)))
        if isinstance(message, AssistantTurn):
            self._replies.append(len(self.items))
        self.items.append(item)
        self.nbytes += len(item)

    @property
    def replies(self) -> int:
        """The number of replies."""
        return len(self._replies)

    @property
    def opening_nbytes(self) -> int:
        """The size of the messages before the first reply."""
        return sum(map(len, self.items[: self._replies[0]] if self._replies else self.items))

    def without_oldest(self) -> Sequence[bytes]:
        """The messages without the older half of the replies and the messages that belong to them.

        The agent's request stays, and no answer loses its call: servers refuse one without the other.
        """
        if not self._replies:
            return self.items
        kept = self._replies[(len(self._replies) + 1) // 2 :]
        return [*self.items[: self._replies[0]], *(self.items[kept[0] :] if kept else self._after_the_last())]

    def _after_the_last(self) -> list[bytes]:
        """The one user message that asks for the note."""
        return self.items[-1:]


def head_bytes(system: str, tools: Sequence[ToolSchema]) -> int:
    """Bytes of a request before its first message."""
    return len(system.encode()) + sum(len(t.name) + len(t.description) + len(str(t.parameters)) for t in tools)


def message_of(event: AnyEvent) -> turn.Message | None:
    """An event as a message to or from the model; None for the many that are no part of the conversation.

    A handover note is none: it ends its epoch, and the next one opens with it.
    """
    match event.body:
        case Message(text=text) | Reminder(text=text):
            return UserMessage(text)
        case LlmResponse(items=items, handover=handover):
            return None if handover else AssistantTurn(items)
        case ToolResult(call_id=call_id, text=text, error=error, form=form):
            return ToolOutput(call_id, text, error, form)
        case _:
            return None
