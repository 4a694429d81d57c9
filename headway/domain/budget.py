"""Budgets flow down in slices and remainders flow up: the arithmetic, which is deterministic and stands in history.

A planner's purse holds what its parent granted. It lends slices to its children, books what they used up when they hand
off, and asks its own parent when it runs short. Grants are always told as totals so far, so that a message that comes
twice, or after a reset, changes nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

UNLIMITED = 10**15
"""Stands for a limit written as "none"; larger than anything a run can use."""

RESERVED_CALLS = 20
"""A planner keeps at least this many of its own worst-case model calls back from its children."""

MICRO = 1_000_000
"""Micro-dollars of a dollar. Dollars are whole numbers of these: fractions would differ from machine to machine."""


class Amount(BaseModel):
    """What is granted, lent, needed or used up.

    Attributes:
        tokens: Input and output of every model call.
        tasks: Worker tasks.
        micro_usd: What is known of the price.
        unpriced: Of the tokens used up, those whose price nobody knows. It is counted, and no limit bounds it.
    """

    model_config = ConfigDict(frozen=True)

    tokens: int = 0
    tasks: int = 0
    micro_usd: int = 0
    unpriced: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return _of(a + b for a, b in zip(_parts(self), _parts(other), strict=True))

    def __sub__(self, other: "Amount") -> "Amount":
        return _of(a - b for a, b in zip(_parts(self), _parts(other), strict=True))

    def __bool__(self) -> bool:
        return any(_parts(self))

    def covers(self, other: "Amount") -> bool:
        """True when `other` can be taken from this amount."""
        return all(a >= b for a, b in zip(_parts(self)[:3], _parts(other)[:3], strict=True))

    def most(self, other: "Amount") -> "Amount":
        """The larger of each part."""
        return _of(max(a, b) for a, b in zip(_parts(self), _parts(other), strict=True))

    def least(self, other: "Amount") -> "Amount":
        """The smaller of each part, never below zero."""
        return _of(max(0, min(a, b)) for a, b in zip(_parts(self), _parts(other), strict=True))

    @property
    def usd(self) -> float | None:
        """Dollars used up, for people; None where the price of a part of it is not known, never less than it was."""
        return None if self.unpriced else self.micro_usd / MICRO


def _parts(amount: Amount) -> tuple[int, int, int, int]:
    return amount.tokens, amount.tasks, amount.micro_usd, amount.unpriced


def _of(parts: Any) -> Amount:
    tokens, tasks, micro_usd, unpriced = parts
    return Amount(tokens=tokens, tasks=tasks, micro_usd=micro_usd, unpriced=unpriced)


def _from_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    tokens, micro_usd, tasks, unpriced = (*value, 0, 0, 0, 0)[:4]
    return Amount(tokens=tokens, tasks=tasks, micro_usd=micro_usd, unpriced=unpriced)


def _as_list(amount: Amount) -> tuple[int, ...]:
    parts: tuple[int, ...] = (amount.tokens, amount.micro_usd, amount.tasks, amount.unpriced)
    while parts and not parts[-1]:
        parts = parts[:-1]
    return parts


Pair = Annotated[Amount, BeforeValidator(_from_list), PlainSerializer(_as_list)]
"""An amount that is bare numbers on the wire, without the zeros at its end: a planner's state holds thousands."""


class Bill(BaseModel):
    """What was used up, as people and other programs read it.

    Attributes:
        usd: Dollars; None where the price of a part of it is not known, never 0 then.
    """

    model_config = ConfigDict(frozen=True)

    tokens: int = 0
    tasks: int = 0
    usd: float | None = None

    @classmethod
    def of(cls, amount: Amount) -> "Bill":
        """The bill for an amount that was used up."""
        return cls(tokens=amount.tokens, tasks=amount.tasks, usd=amount.usd)

    @property
    def amount(self) -> Amount:
        """The amount that the bill is for."""
        if self.usd is None:
            return Amount(tokens=self.tokens, tasks=self.tasks, unpriced=self.tokens)
        return Amount(tokens=self.tokens, tasks=self.tasks, micro_usd=round(self.usd * MICRO))

    @property
    def dollars(self) -> str:
        """The price in words."""
        return "unpriced" if self.usd is None else f"${self.usd:,.2f}"


class Ceiling(BaseModel):
    """What a run may use, as people and other programs read it; "none" where nothing bounds it."""

    model_config = ConfigDict(frozen=True)

    tokens: int | Literal["none"]
    tasks: int | Literal["none"]
    usd: float | Literal["none"]

    @classmethod
    def of(cls, amount: Amount) -> "Ceiling":
        """The ceiling that an amount stands for."""
        usd: float | Literal["none"] = amount.micro_usd / MICRO if amount.micro_usd < UNLIMITED else "none"
        return cls(tokens=_bound(amount.tokens), tasks=_bound(amount.tasks), usd=usd)


def _bound(number: int) -> int | Literal["none"]:
    return number if number < UNLIMITED else "none"


class Purse(BaseModel):
    """What one planner may still use, and what it lent.

    Attributes:
        granted: All that the parent granted so far.
        own: What the planner's own turns used up.
        below: What closed children used up, with everything below them.
        lent: What open children hold.
    """

    granted: Amount
    own: Amount = Amount()
    below: Amount = Amount()
    lent: Amount = Amount()

    @property
    def spent(self) -> Amount:
        """All that this planner and what is below it used up for certain."""
        return self.own + self.below

    @property
    def balance(self) -> Amount:
        """What is neither used up nor lent."""
        return self.granted - self.spent - self.lent

    @property
    def free(self) -> Amount:
        """The balance, where there is one: after a reset or a lower limit a part of it may be overdrawn."""
        return self.balance.most(Amount()).model_copy(update={"unpriced": 0})

    def reserve(self, worst: Amount) -> Amount:
        """What is never lent: a tenth, at least twenty worst-case calls, but at most half of the grant.

        The last bound keeps a purse that is smaller than forty calls usable at all.
        """
        return Amount(
            tokens=_reserve(self.granted.tokens, worst.tokens),
            micro_usd=_reserve(self.granted.micro_usd, worst.micro_usd),
        )

    def lendable(self, worst: Amount) -> Amount:
        """What children may still get."""
        return (self.free - self.reserve(worst)).most(Amount())


def _reserve(granted: int, worst: int) -> int:
    return min(max(granted // 10, RESERVED_CALLS * worst), granted // 2)


def task_slice(task: Amount, worst: Amount) -> Amount:
    """The slice of a task: a tenth of `limits.task_*`, at least two worst-case calls, at most all of it.

    Dividing equally fails: of 100 tasks of one spawn 71 could not make two calls.
    """
    return Amount(tokens=_slice(task.tokens, worst.tokens), tasks=1, micro_usd=_slice(task.micro_usd, worst.micro_usd))


def _slice(limit: int, worst: int) -> int:
    # No limit has no tenth: a slice of that size would fit into no purse.
    tenth = limit // 10 if limit < UNLIMITED else 0
    return min(max(tenth, 2 * worst), limit)


def planner_slice(lendable: Amount, worst: Amount) -> Amount:
    """The first slice of a sub-planner: a tenth of what its parent can lend.

    At least twice its own reserve, so that half of it can go to tasks, and at least one task; never more than there is.
    Of dollars not more than a third for that reason: a call at its worst costs so much that the first sub-planner would
    take all.
    """
    twice = 2 * RESERVED_CALLS
    wanted = Amount(
        tokens=max(lendable.tokens // 10, twice * worst.tokens),
        tasks=max(lendable.tasks // 10, 1),
        micro_usd=max(lendable.micro_usd // 10, min(twice * worst.micro_usd, lendable.micro_usd // 3)),
    )
    return wanted.least(lendable)


def least_planner_slice(granted: Amount, worst: Amount) -> Amount:
    """With less than this a sub-planner is not started: four worst-case calls; of dollars at most a twentieth."""
    return Amount(tokens=4 * worst.tokens, tasks=1, micro_usd=min(4 * worst.micro_usd, granted.micro_usd // 20))
