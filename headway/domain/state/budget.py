"""Budgets flow down in slices and remainders flow up: the arithmetic, which is deterministic and stands in history.

A planner's account holds the amount that its parent granted. The planner lends to its children, books their usage when
they hand off, asks its own parent when it runs short, and gives back its unneeded budget when its parent runs short.
A grant has the size that calls have now, not the largest that a conversation could ever make: with that a tree
of three levels starves on the default limits. Grants are always told as totals so far, so that a message that comes
twice, or after a reset, changes nothing.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

UNLIMITED = 10**15
"""Stands for a limit written as "none"; larger than anything a run can use."""

CALLS = 3
"""Model calls, at the size that they have now, that a first slice pays and that a planner keeps for itself."""

TURN_CALLS = 10
"""Model calls, at their present size, that one planning turn may make before it asks for more.

They are reserved for the turn while it runs, as far as the balance goes; children may get only the rest meanwhile.
"""

MICRO = 1_000_000
"""Micro-dollars of a dollar. Dollars are whole numbers of these: fractions would differ from machine to machine."""


class Amount(BaseModel):
    """An amount that is granted, lent, needed or used up.

    Attributes:
        tokens: Input and output of every model call.
        tasks: Worker tasks.
        micro_usd: The known part of the price, in millionths of a dollar.
        unpriced: Used-up tokens without a known price. They are counted, and no limit bounds them.
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

    def times(self, count: int) -> "Amount":
        """Each part so many times."""
        return _of(count * part for part in _parts(self))

    def shared(self, count: int) -> "Amount":
        """Each part divided by `count`, rounded down."""
        return _of(part // max(1, count) for part in _parts(self))

    def where(self, other: "Amount") -> "Amount":
        """The parts of this amount that `other` has as well, and nothing else."""
        return _of(a if b > 0 else 0 for a, b in zip(_parts(self), _parts(other), strict=True))

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


Compact = Annotated[Amount, BeforeValidator(_from_list), PlainSerializer(_as_list)]
"""An amount that is a list on the wire: with a letter for each field, a child would take 184 bytes instead of 160."""


class Bill(BaseModel):
    """The amount that was used up, as people and other programs read it.

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
    """The most that a run may use, as people and other programs read it; "none" for no bound."""

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


class Sizes(BaseModel):
    """Sizes of the first calls of a run's agents, and the most that one task may use up.

    Attributes:
        task_call: The first call of a task: its first request and the longest reply. Dollars only where they are
            limited.
        planner_call: The same of a sub-planner.
        root_call: The same of the root planner, which is told the user's instructions.
        task: All that one task may use up.
    """

    model_config = ConfigDict(frozen=True)

    task_call: Compact = Amount(tokens=20_000)
    planner_call: Compact = Amount(tokens=20_000)
    root_call: Compact = Amount(tokens=20_000)
    task: Compact = Amount(tokens=2_000_000, tasks=1, micro_usd=UNLIMITED)

    @property
    def unpriced(self) -> "Sizes":
        """The same where dollars bound nothing."""
        calls = {name: getattr(self, name) for name in ("task_call", "planner_call", "root_call")}
        return self.model_copy(update={name: call.model_copy(update={"micro_usd": 0}) for name, call in calls.items()})

    @property
    def least_task(self) -> Amount:
        """With less a task cannot work: a call, and the last word."""
        return self.task_call.times(2)

    @property
    def least_run(self) -> Amount:
        """With less a run cannot work: the root planner's first turn, its reserve, and a task."""
        return self.root_call.times(2 * CALLS) + self.first_task

    @property
    def least_tree(self) -> Amount:
        """The same with a sub-planner between."""
        return self.least_run + self.planner_call.times(2 * CALLS)

    @property
    def first_task(self) -> Amount:
        """The first slice of a task."""
        return self.task_call.times(CALLS).least(self.task).model_copy(update={"tasks": 1})

    @property
    def first_planner(self) -> Amount:
        """The first slice of a sub-planner. It asks for its children's needs once it knows them."""
        return self.planner_call.times(CALLS).model_copy(update={"tasks": 1})

    @property
    def next_planner(self) -> Amount:
        """With so much a planner can go on: its reserve is whole again, and one child starts."""
        return self.first_planner + self.first_task

    def next_task(self, need: Amount, lent: Amount, lendable: Amount, claimants: int) -> Amount | None:
        """The next slice of a task that holds `lent` and needs at least `need` more; None beyond its limit.

        A quarter of its share of the lendable amount, because a task that asks seldom keeps its slot. At least two more
        calls than it needs, at most a tenth of its limit. If less is left, all of it, if that is enough.
        """
        part = lendable.shared(4 * claimants)
        usual = self._next(need, lent, self.task.shared(10).least(part))
        return None if usual is None else usual.least(lendable).most(need)

    def wanted_task(self, need: Amount, lent: Amount) -> Amount | None:
        """The amount that a planner without means asks its parent for, for such a task; None beyond its limit.

        With less than a usual slice it would have to ask again for every call.
        """
        return self._next(need, lent, self.task.shared(10))

    def _next(self, need: Amount, lent: Amount, usual: Amount) -> Amount | None:
        room = self.task - lent
        if room.tokens < need.tokens or room.micro_usd < need.micro_usd:
            return None
        return usual.most(need + self.task_call.times(CALLS - 1)).least(room).where(need)


class Account(BaseModel):
    """The amounts that one planner may still use, and that it lent.

    Attributes:
        granted: All that the parent granted so far.
        own: Used up by the planner's own turns.
        below: Used up by closed children, with everything below them.
        delegated: Held by open children.
        call: The planner's own next model call, at the size that it has now.
        aside: The part that the present turn may use up.
    """

    granted: Amount
    own: Amount = Amount()
    below: Amount = Amount()
    delegated: Amount = Amount()
    call: Compact = Amount()
    aside: Compact = Amount()

    @property
    def spent(self) -> Amount:
        """The amount that this planner and everything below it used up for certain."""
        return self.own + self.below

    @property
    def balance(self) -> Amount:
        """The part of the grant that is neither used up nor lent."""
        return self.granted - self.spent - self.delegated

    @property
    def free(self) -> Amount:
        """The balance, where there is one: after a reset or a lower limit a part of it may be overdrawn."""
        return self.balance.most(Amount()).model_copy(update={"unpriced": 0})

    @property
    def reserve(self) -> Amount:
        """The part that is never lent: a tenth of the grant, at least three calls, and the present turn's part."""
        tenth = self.granted.shared(10).model_copy(update={"tasks": 0, "unpriced": 0})
        return tenth.most(self.call.times(CALLS)).most(self.aside)

    @property
    def lendable(self) -> Amount:
        """The amount that children may still get."""
        return (self.free - self.reserve).most(Amount())

    def turn(self) -> Amount:
        """The amount that a turn which begins now may use up: the free part, at most ten calls or the reserve."""
        return self.free.least(self.reserve.most(self.call.times(TURN_CALLS))).model_copy(update={"tasks": 0})

    def lacking(self, wanted: Amount) -> Amount:
        """The grant that is missing before `wanted` can be lent. The reserve grows with the grant."""
        short = (wanted - self.lendable).most(Amount())
        apart = self.balance - wanted
        by_calls = self.call.times(CALLS).most(self.aside) - apart
        # balance + x - (granted + x) / 10 >= wanted
        by_tenth = _of(-(-10 * (part + 1) // 9) for part in _parts(self.granted.shared(10) - apart))
        grown = by_calls.most(by_tenth).most(short).where(short)
        return grown.model_copy(update={"tasks": max(0, -apart.tasks) if short.tasks else 0, "unpriced": 0})
