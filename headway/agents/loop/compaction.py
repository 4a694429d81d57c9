"""Compaction: a conversation that has grown too long ends with a note by its model, and a new epoch opens with it.

Everything follows from the log. A question for a note that has no answer is asked again; a note that is there is never
asked for again; an epoch that is open but empty gets its first message. Where no note can be had, the epoch begins
without one: the request, the facts and the scratchpad are always there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from headway.agents.loop.conversation import Conversation, Question
from headway.agents.loop.transcript import exchanges, tail_of
from headway.domain.progress import Progress
from headway.domain.state.budget import Amount
from headway.eventlog.events import work as events
from headway.eventlog.events.conversation import LlmResponse, Message, Reminder
from headway.eventlog.events.envelope import Event
from headway.eventlog.views.epoch import HANDOVER
from headway.models.adapter import Reuse
from headway.models.failures import ContextOverflow, FatalModelError, NoUsableReply
from headway.models.meter import Meter
from headway.models.roles import Chosen
from headway.models.turn import UserMessage
from prompts.prompts import Prompts

WINDOW_PART = 0.75
COMPACT_AT = 200_000
"""Tokens at which even a larger window is closed: every call pays for the whole of it."""

TAIL_TOKENS = 8_000
TAIL_PART = 8
"""The tail takes at most this part of an epoch."""

SMALL_NOTE = 2_048
"""Tokens of a note from a window that has overflowed: many servers count the reply into it."""

PROGRESS = 0.1
"""An epoch that opens nearly full is not closed again before it has grown by this part of its limit."""

OVERFLOW = "ContextOverflow"
FATAL = "FatalModelError"
REPLIES_BETWEEN = 3
"""Replies of an epoch that followed another one, before a refusal may open one more."""

TRIES = 2
"""Overflows of the question itself, the second one without the older half, after which there is no note."""

Opening = Callable[[str], str]
"""Renders the beginning of an epoch, around the parts that the last one carries over."""


@dataclass(frozen=True)
class Compaction:
    """Closes an agent's epochs.

    Attributes:
        opening: The agent's request, facts and scratchpad; given the remains of the old conversation.
        other: The model that writes the notes, where the run names one.
    """

    conversation: Conversation
    prompts: Prompts
    opening: Opening
    other: Chosen | None = None

    @property
    def is_due(self) -> bool:
        """True if there is something to settle."""
        return self._note is not None or (self.conversation.seen.is_empty and self.conversation.epoch > 0)

    def settle(self) -> None:
        """Open the next epoch, if the note for it is there or cannot be had; finish an opening that was cut short."""
        if self._note is not None:
            self._open(self._note)
        elif self.conversation.seen.is_empty and self.conversation.epoch > 0:
            self._resume()

    @property
    def _note(self) -> str | None:
        """The note that closes the epoch; empty when there will be none, None while it is not closed."""
        reply = self.conversation.reply
        if reply is not None and reply.body.handover:
            return reply.body.text.strip()
        gave_up = FATAL in self.conversation.misses.final or self.conversation.misses.final.count(OVERFLOW) >= TRIES
        return "" if gave_up and self.conversation.handing_over else None

    def prepare(self) -> None:
        """Ask for a note, if the conversation is too long for another step, or was refused."""
        final = self.conversation.misses.final
        if not self.conversation.handing_over and (final or self._is_full):
            why = "full" if not final else "overflow" if OVERFLOW in final else "refused"
            text = self.prompts.render("messages/handover")
            self.conversation.note(Reminder(text=text, why=HANDOVER, cause=why))

    def goes_on(self, error: ContextOverflow | FatalModelError) -> bool:
        """True if a request without the conversation can follow the one that was refused.

        A server may refuse what the model or a tool said earlier, and then refuses every request that holds it. The
        next epoch has to get somewhere before that is tried again.
        """
        if self.conversation.handing_over:
            return True
        if self.conversation.reply is None or isinstance(error, NoUsableReply):
            return False
        if isinstance(error, ContextOverflow):
            return True
        return not self.conversation.seen.followed or self.conversation.context.replies >= REPLIES_BETWEEN

    async def ask(self, progress: Progress = lambda _: None) -> Event[LlmResponse]:
        """The next model call: a step, or the note.

        Raises:
            TransientError, ContextOverflow, FatalModelError: See `headway.models.failures`.
        """
        return await self.conversation.ask(self._question() if self.conversation.handing_over else None, progress)

    @property
    def reserve(self) -> Amount:
        """The worst case of the next model call, which may be one of the model that writes the notes."""
        if self.other is None or not self.conversation.handing_over:
            return self.conversation.reserve
        endpoint = self.other.model.endpoint
        return Meter(self.other.price).reserve(endpoint.window - endpoint.max_output, endpoint.max_output)

    @property
    def limit(self) -> int:
        """Tokens that a conversation of this agent may hold."""
        endpoint = self.conversation.chosen.model.endpoint
        window = max(endpoint.window - endpoint.max_output, endpoint.window // 4)
        return int(min(WINDOW_PART * endpoint.window, COMPACT_AT, window))

    @property
    def _is_full(self) -> bool:
        conversation = self.conversation
        if conversation.reply is None or conversation.tokens <= self.limit:
            return False
        opened = conversation.chosen.model.estimate_tokens(
            conversation.context.opening_nbytes, conversation.chosen.name
        )
        return conversation.tokens >= opened + PROGRESS * self.limit

    def _question(self) -> Question:
        conversation = self.conversation
        shortened = OVERFLOW in conversation.misses.final
        if self.other is not None:
            return self._question_to(self.other, shortened=shortened)
        request = replace(conversation.request(), tool_choice="none")
        if conversation.seen.handover_cause == "overflow" or shortened:
            request = replace(request, max_output=min(request.max_output, SMALL_NOTE))
        return Question(
            replace(request, items=conversation.context.without_oldest()) if shortened else request, conversation.chosen
        )

    def _question_to(self, other: Chosen, *, shortened: bool) -> Question:
        """To a model that was not there: the conversation as text, as much of its newest part as that model takes."""
        model, name = other.model, other.name
        room = (model.endpoint.window - model.endpoint.max_output) // (4 if shortened else 2)
        said = tail_of(exchanges(self.conversation.log.replay(self.conversation.epoch)), self._bytes(room, other))
        text = self.prompts.render("messages/transcript", said=said, question=self.prompts.render("messages/handover"))
        request = replace(
            self.conversation.request(),
            model=name,
            system=self.prompts.render("compaction"),
            items=[model.encode(UserMessage(text))],
            tools=(),
            max_output=model.endpoint.max_output,
            effort=other.effort,
            reuse=Reuse(),
        )
        return Question(request, other)

    def _open(self, note: str) -> None:
        """Begin an epoch with a note; without one, on facts and scratchpad alone."""
        conversation = self.conversation
        room = min(TAIL_TOKENS, self.limit // TAIL_PART)
        said = (
            tail_of(exchanges(conversation.log.replay(conversation.epoch)), self._bytes(room, conversation.chosen))
            if note
            else ""
        )
        carried = self.prompts.render("messages/carried", note=note, said=said or "nothing") if note else ""
        text = self.opening(carried or self.prompts.render("messages/carried_nothing"))
        size = len(text.encode())
        conversation.begin_epoch(
            events.Compaction(
                how="note" if note else "rules",
                from_tokens=conversation.tokens,
                from_bytes=conversation.nbytes,
                from_epoch=conversation.epoch,
                to_tokens=conversation.chosen.model.estimate_tokens(size, conversation.chosen.name),
                to_bytes=size,
                opening=text,
            )
        )
        self._say(text)

    def _resume(self) -> None:
        if self.conversation.seen.opening:
            self._say(self.conversation.seen.opening)

    def _say(self, text: str) -> None:
        self.conversation.note(Message(text=text, opens=self.conversation.epoch))
        self.conversation.remind_of("align", self.prompts)

    def _bytes(self, tokens: int, chosen: Chosen) -> int:
        """Bytes that are likely to be so many tokens."""
        return int(tokens * 10_000 / max(1, chosen.model.estimate_tokens(10_000, chosen.name)))
