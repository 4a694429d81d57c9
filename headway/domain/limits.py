"""A run's limits while it goes on: what a change asks for, whether it can be kept, and how it is told."""

from typing import Literal

from headway.domain.budget import MICRO, UNLIMITED, Amount, Ceiling
from headway.domain.control import SetLimits
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.parking import clock_words, date_words
from headway.domain.run import PreparedRun


def micro(usd: float | Literal["none"]) -> int:
    """A limit in dollars as whole micro-dollars: "none" becomes `UNLIMITED`, and nothing becomes 0."""
    return UNLIMITED if usd == "none" else min(max(round(usd * MICRO), 1), UNLIMITED)


def changed(order: SetLimits, before: Amount, prepared: PreparedRun | None) -> Amount:
    """The limits after a change.

    Raises:
        UserError: It changes nothing, or a limit in dollars has a model without a price under it.
    """
    if order.tokens is order.tasks is order.usd is order.usd_per_hour is order.hours is None:
        known = "Name at least one of tokens, tasks, usd, usd_per_hour, hours."
        raise UserError("limits: nothing is to be changed.", known)
    dollars = [name for name in ("usd", "usd_per_hour") if isinstance(getattr(order, name), float)]
    if dollars and prepared is not None and not prepared.context.bounds_dollars:
        fields = " and ".join(prepared.unpriced) or "models.<role>.price"
        raise UserError(
            f"limits.{dollars[0]}: a model of this run has no price, so that no limit in dollars can be kept.",
            f"Limit its tokens instead; {fields} of a new run's input sets the price.",
        )
    return before.model_copy(
        update={
            "tokens": before.tokens if order.tokens is None else _number(order.tokens),
            "tasks": before.tasks if order.tasks is None else _number(order.tasks),
            "micro_usd": before.micro_usd if order.usd is None else micro(order.usd),
        }
    )


def in_words(
    granted: Amount, used: Amount, deadline: float | Literal["none"] | None, per_hour: int | None = None
) -> str:
    """The limits as they stand, for whoever changed them; `per_hour` if that was changed, in micro-dollars."""
    ceiling = Ceiling.of(granted)
    ends = f"until {date_words(deadline)} {clock_words(deadline)}" if isinstance(deadline, float) else "without an end"
    usd = "any number of" if ceiling.usd == "none" else f"{ceiling.usd:,.2f}"
    tokens, tasks = ("any number of" if limit == "none" else f"{limit:,}" for limit in (ceiling.tokens, ceiling.tasks))
    spent = "unpriced" if used.usd is None else f"{used.usd:,.2f} dollars"
    hourly = "" if per_hour is None else f" ({per_hour_words(per_hour)})"
    return (
        f"the run may use {tokens} tokens, {tasks} tasks, {usd} dollars{hourly}, {ends}; "
        f"used up so far: {used.tokens:,} tokens, {used.tasks:,} tasks, {spent}"
    )


def per_hour_words(per_hour: int) -> str:
    """What may be spent in an hour, in words."""
    return "any number of them an hour" if per_hour >= UNLIMITED else f"{per_hour / MICRO:,.2f} of them an hour"


def more_of(run: RunName, need: Amount, granted: Amount) -> str:
    """The command that doubles what a run has too little of."""
    parts = ["headway limits", run]
    parts += [f"--tokens {2 * granted.tokens}"] if need.tokens else []
    parts += [f"--tasks {2 * granted.tasks}"] if need.tasks else []
    parts += [f"--usd {2 * granted.micro_usd / MICRO:.2f}"] if need.micro_usd else []
    return " ".join(parts)


def _number(limit: int | Literal["none"]) -> int:
    return UNLIMITED if limit == "none" else limit
