"""Limits of an attempt: which one is used up, which nearly is, and what its grant lacks for the next call. Pure."""

from typing import Literal

from headway.agents.loop.usage import missing
from headway.agents.worker import last_reply
from headway.agents.worker.attempt import Attempt
from headway.domain.state.budget import MICRO, Amount

REMIND_AT = 0.8
"""The part of a limit after which a worker is told to bring its work in."""


def used_up(attempt: Attempt, now: float) -> str | None:
    """The limit that is used up, but for the last reply; `now` in seconds since the epoch, by the server's clock."""
    deadline = attempt.order.context.deadline
    if deadline is not None and now >= deadline:
        return "hours: the run's hours are used up"
    if _minutes(attempt) >= _bound(attempt.spec.limits.task_minutes):
        return "minutes: the active time of this task is used up"
    short = Amount() if attempt.order.more else missing_for_next_call(attempt)
    if short.tokens:
        return "budget: the tokens of this task are used up"
    return "budget: the dollars of this task are used up" if short else None


def nearly_used_up(attempt: Attempt) -> str | None:
    """The first limit of which a worker should be told."""
    limits, paid = attempt.spec.limits, attempt.conversation.paid
    used = {
        "active minutes": _minutes(attempt) / _bound(limits.task_minutes),
        "tokens": paid.tokens / min(_bound(limits.task_tokens), _most_tokens(attempt)),
        "dollars": paid.amount.micro_usd / MICRO / _bound(limits.task_usd),
    }
    return next((limit for limit, part in used.items() if part >= REMIND_AT), None)


def missing_for_next_call(attempt: Attempt) -> Amount:
    """The part of the task's next call that its grant lacks, beside the cost of a last reply."""
    paid = attempt.conversation.paid.amount + last_reply.kept_for_it(attempt)
    return missing(
        paid, attempt.compaction.reserve, attempt.order.granted, dollars=attempt.order.context.bounds_dollars
    )


def _most_tokens(attempt: Attempt) -> float:
    """All tokens that the task will ever have; without bound while it may ask for more."""
    return _bound("none" if attempt.order.more else attempt.order.granted.tokens)


def _minutes(attempt: Attempt) -> float:
    return attempt.views.time.active_s / 60


def _bound(limit: float | Literal["none"]) -> float:
    return float("inf") if limit == "none" else float(limit)
