"""An agent's current epoch: its newest reply with the answers to it, and the marks of what the model was told."""

from collections import Counter
from typing import Literal, cast

from headway.domain.results import Result
from headway.eventlog.events.conversation import LlmResponse, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.eventlog.events.work import Compaction

HANDOVER = "handover"
"""The reason of the reminder that asks for a handover note."""

LAST_WORD = "last_word"
"""The reason of the reminder that the next reply is the agent's last.

Its request offers all tools as before. It is the longest one of its conversation, and with other tools nothing of it
would come from a prompt cache.
"""

LastWord = Literal["asked", "had"]


class Epoch:
    """Takes the events of one epoch, whole.

    Keeps the newest reply without the provider's own JSON, the facts of the answers to it, names and marks.

    Attributes:
        reply: The model's newest reply.
        results: Facts of the answers to its calls, so far.
        is_empty: The model was told nothing yet.
        followed: It opened with the note of an earlier epoch.
        opening: The text that is to open it, as long as it is empty.
        amendments: Places of the amendments that the model was told.
        handover_cause: The reason why a handover note was asked for.
        broke: Number of times that a call broke, by its key.
        last_word: The agent was told that its next reply is its last, or had it.
        is_last_word: The newest reply is that one: only a handoff of it is carried out.
    """

    def __init__(self) -> None:
        self.reply: Event[LlmResponse] | None = None
        self.results: list[Result] = []
        self.is_empty = True
        self.followed = False
        self.opening = ""
        self.amendments: set[int] = set()
        self.handover_cause: str | None = None
        self.broke: Counter[str] = Counter()
        self.last_word: LastWord | None = None
        self.is_last_word = False
        self._answered: set[str] = set()
        self._reminded: set[str] = set()

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the epoch."""
        match event.body:
            case LlmResponse() as reply:
                bare = event._replace(body=reply.model_copy(update={"items": ()}))
                self.reply = cast(Event[LlmResponse], bare)
                self.is_last_word = LAST_WORD in self._reminded
                self.last_word = "had" if self.last_word else None
                self.results, self._answered, self._reminded = [], set(), set()
            case ToolResult() as answer:
                self._take_answer(answer)
            case Reminder(why=why, cause=cause):
                self._reminded.add(why)
                self.last_word = "asked" if why == LAST_WORD else self.last_word
                self.handover_cause = cause if why == HANDOVER else self.handover_cause
            case Message(opens=opens, amendments=amendments):
                self.followed = self.followed or bool(opens)
                self.amendments.update(amendments)
                self.opening = ""
            case Compaction(opening=opening):
                self.opening = opening
                return
            case _:
                return
        self.is_empty = False

    def _take_answer(self, answer: ToolResult) -> None:
        self._answered.add(answer.call_id)
        if answer.result is not None:
            self.results.append(answer.result)
        if answer.broke is not None and answer.key is not None:
            self.broke[answer.key] += 1

    @property
    def handing_over(self) -> bool:
        """True if the model was asked for a handover note that is not there yet."""
        # Asked for its last reply, it has no time left for a note.
        return HANDOVER in self._reminded and LAST_WORD not in self._reminded

    def is_answered(self, call_id: str) -> bool:
        """True if this call of the newest reply has its answer."""
        return call_id in self._answered
