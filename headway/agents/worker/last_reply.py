"""The request for an agent's last reply, in a size that the rest of its budget pays.

Each call leaves a part of the budget for it: the agent was told that it has a last reply. It goes to the whole
conversation where the rest pays for that, since a prompt cache holds it; else to the agent's request and its newest
exchanges, as text.
"""

from collections.abc import Iterator
from dataclasses import replace

from headway.agents.loop.conversation import Conversation, Question
from headway.agents.loop.transcript import exchanges, tail_of
from headway.agents.loop.usage import missing
from headway.agents.worker.attempt import Attempt
from headway.domain.state.budget import Amount
from headway.models.adapter import Reuse
from headway.models.meter import Meter
from headway.models.turn import UserMessage
from headway.system.excerpt import cut_middle

REMINDER_BYTES = 1024
"""The words that ask for it, with room for a few lines about the work."""

_SHORTER = ((None, 64 << 10), (None, 16 << 10), (None, 4 << 10), (None, 1 << 10), (8_000, 0), (2_000, 0), (500, 0))
"""Characters of the agent's request, and bytes of its newest exchanges; None for all of it."""

_PARTS = (2, 4)
"""The longest reply is divided by these, where nothing else is left to make shorter."""


def kept_for_it(attempt: Attempt) -> Amount:
    """The part of the budget that is kept for the last reply: no more than a task's first call."""
    conversation, first = attempt.conversation, attempt.order.context.sizes.task_call
    model = conversation.chosen.model
    made = model.endpoint.max_output
    opening = conversation.nbytes - conversation.context.nbytes + conversation.context.opening_nbytes
    given = model.worst_call(opening + REMINDER_BYTES, conversation.chosen.name) - made
    whole = Meter(conversation.chosen.price).reserve(given, made)
    dollars = min(whole.micro_usd, first.micro_usd) if first.micro_usd else whole.micro_usd
    return Amount(tokens=min(whole.tokens, first.tokens), micro_usd=dollars)


def questions(attempt: Attempt, reminder: str) -> Iterator[Question]:
    """The requests that the rest of the budget pays for, the whole conversation first."""
    conversation = attempt.conversation
    for question in _shorter_and_shorter(conversation, attempt, reminder):
        lacks = missing(
            conversation.paid.amount,
            conversation.reserve_for(question),
            attempt.order.granted,
            dollars=attempt.order.context.bounds_dollars,
        )
        if not lacks:
            yield question


def _shorter_and_shorter(conversation: Conversation, attempt: Attempt, reminder: str) -> Iterator[Question]:
    whole = conversation.request()
    yield Question(whole, conversation.chosen)
    asked, said = attempt.asked(), exchanges(conversation.log.replay(conversation.epoch))
    for chars, size in _SHORTER:
        task = asked if chars is None else cut_middle(asked, chars)
        text = "\n\n---\n".join(filter(None, (task, tail_of(said, size), reminder)))
        short = replace(whole, items=[conversation.chosen.model.encode(UserMessage(text))], reuse=Reuse())
        yield Question(short, conversation.chosen)
    for part in _PARTS:
        yield Question(replace(short, max_output=whole.max_output // part), conversation.chosen)
