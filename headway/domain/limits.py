"""A run's limits while it goes on: the wish to change them, its check, and the answer in words."""

from collections.abc import Mapping
from typing import Literal

from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.limit_table import CHANGEABLE, DOLLARS, Limits, Value, finite
from headway.domain.model_outage import clock_words, date_words
from headway.domain.run import PreparedRun
from headway.domain.state.budget import MICRO, UNLIMITED, Amount, Ceiling, Sizes
from headway.domain.words import counted, limit_words


def micro(usd: Value) -> int:
    """A limit in dollars as whole micro-dollars: "none" becomes `UNLIMITED`, and nothing becomes 0."""
    return UNLIMITED if usd == "none" else min(max(round(usd * MICRO), 1), UNLIMITED)


def changed(changes: Mapping[str, Value], before: Amount, prepared: PreparedRun | None) -> Amount:
    """The limits after a change.

    Raises:
        UserError: It changes nothing, or a limit in dollars has a model without a price under it.
    """
    if not changes:
        raise UserError("limits: the change names no limit.", f"Name at least one of {', '.join(CHANGEABLE)}.")
    dollars = [name for name in DOLLARS if isinstance(changes.get(name), float)]
    if dollars and prepared is not None and not prepared.context.bounds_dollars:
        fields = " and ".join(prepared.unpriced) or "models.<role>.price"
        raise UserError(
            f"limits.{dollars[0]}: a model of this run has no price, so that no limit in dollars can be kept.",
            f"Limit its tokens instead; {fields} of a new run's input sets the price.",
        )
    parts: dict[str, int] = {name: finite(changes[name]) for name in ("tokens", "tasks") if name in changes}
    parts |= {"micro_usd": micro(changes["usd"])} if "usd" in changes else {}
    return before.model_copy(update=parts)


def workable(limits: Limits, sizes: Sizes, *, dollars: bool) -> Sizes:
    """The sizes with the most that one task may use up. Without a limit of the user it is at least what a task can work
    with.

    Raises:
        UserError: With these limits no run, or no task, can work. It names the least with which it can.
    """
    granted = Amount(tokens=finite(limits.tokens), micro_usd=micro(limits.usd) if dollars else UNLIMITED)
    unbounded = sizes.model_copy(update={"task": Amount(tokens=UNLIMITED, micro_usd=UNLIMITED)})
    flat, deep = unbounded.least_run, limits.depth > 1
    least = unbounded.least_tree if deep else flat
    alone = "with limits.depth at 1, which is without sub-planners" if deep else "without sub-planners"
    _refuse_below("tokens", granted.tokens, least.tokens, f"{_up(flat.tokens, 'tokens')} {alone}")
    _refuse_below("usd", granted.micro_usd, least.micro_usd, f"{_up(flat.micro_usd, 'usd')} {alone}")
    said = limits.model_fields_set
    task = Amount(tokens=finite(limits.task_tokens), micro_usd=micro(limits.task_usd) if dollars else UNLIMITED)
    needed, why = sizes.least_task, "one call and a last word"
    if "task_tokens" in said:
        _refuse_below("task_tokens", task.tokens, needed.tokens, why)
    if "task_usd" in said:
        _refuse_below("task_usd", task.micro_usd, needed.micro_usd, why)
    task = task.most(needed).least(granted).model_copy(update={"tasks": 1})
    return sizes.model_copy(update={"task": task})


def _refuse_below(name: str, limit: int, least: int, more: str) -> None:
    if limit >= least:
        return
    unit = "usd" if name.endswith("usd") else "tokens"
    said = counted(limit, "token") if unit == "tokens" else f"${limit / MICRO:,.2f}"
    raise UserError(
        f"limits.{name}: {said} is too little to work with: the least is {_up(least, unit)} ({more}). A model call "
        "reserves its request and the longest reply before it is made.",
        f"Set limits.{name} to {_up(least, unit, bare=True)} or more; HEADWAY_MAX_OUTPUT makes the longest reply "
        "shorter.",
    )


def _up(amount: int, unit: str, *, bare: bool = False) -> str:
    """A least amount, rounded up so that it is enough as it stands."""
    if unit == "tokens":
        number = _rounded(amount, 1_000)
        return str(number) if bare else counted(number, "token")
    dollars = f"{_rounded(amount, MICRO // 100) / MICRO:.2f}"
    return dollars if bare else f"${dollars}"


def in_words(
    granted: Amount, used: Amount, deadline: float | Literal["none"] | None, changes: Mapping[str, Value]
) -> str:
    """The current limits in words, for the user who changed some of them, now or earlier."""
    ceiling = Ceiling.of(granted)
    ends = f"until {date_words(deadline)} {clock_words(deadline)}" if isinstance(deadline, float) else "without an end"
    usd = "any number of" if ceiling.usd == "none" else f"{ceiling.usd:,.2f}"
    tokens, tasks = limit_words(ceiling.tokens, "token"), limit_words(ceiling.tasks, "task")
    spent = "unpriced" if used.usd is None else f"{used.usd:,.2f} dollars"
    per_hour = changes.get("usd_per_hour")
    hourly = "" if per_hour is None else f" ({per_hour_words(per_hour)})"
    return (
        f"the run may use {tokens}, {tasks}, {usd} dollars{hourly}, {ends}; "
        f"used up so far: {counted(used.tokens, 'token')}, {counted(used.tasks, 'task')}, {spent}"
    )


def per_hour_words(per_hour: Value) -> str:
    """The limit of an hour, in words."""
    return "any number of them an hour" if per_hour == "none" else f"{per_hour:,.2f} of them an hour"


def more_of(run: RunName, need: Amount, granted: Amount) -> str:
    """The command that raises the run's short limits by the missing amount, and at least to twice the limit."""
    wanted = granted + need.most(granted)
    parts = ["headway limits", run]
    parts += [f"--tokens {_rounded(wanted.tokens, 1_000)}"] if need.tokens > 0 else []
    parts += [f"--tasks {wanted.tasks}"] if need.tasks > 0 else []
    parts += [f"--usd {_rounded(wanted.micro_usd, MICRO // 100) / MICRO:.2f}"] if need.micro_usd > 0 else []
    return " ".join(parts)


def any_short(amount: Amount) -> bool:
    """True if some part of the amount is missing. Parts that are left over do not count."""
    return amount.tokens > 0 or amount.tasks > 0 or amount.micro_usd > 0


def short_words(amount: Amount, of: Amount | None = None) -> str:
    """An amount in words: the parts that are there, or those that are in `of`."""
    of = of or amount
    parts = [counted(amount.tokens, "token")] if of.tokens > 0 else []
    parts += [counted(amount.tasks, "task")] if of.tasks > 0 else []
    parts += [f"${_rounded(amount.micro_usd, MICRO // 100) / MICRO:,.2f}"] if of.micro_usd > 0 else []
    return ", ".join(parts) or "nothing"


def waits_words(missing: Amount, free: Amount) -> str:
    """The amount that a child waits for, and its planner's part of it."""
    return f"needs {short_words(missing)}, its planner has {short_words(free, missing)} free" if missing else ""


def _rounded(number: int, step: int) -> int:
    """The number, rounded up to a multiple of `step`: the named limit has to be enough."""
    return -(-number // step) * step
