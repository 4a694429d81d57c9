"""Budgets flow down in slices and remainders flow up: the arithmetic, which is deterministic and stands in history.

A planner's purse holds what its parent granted. It lends slices to its children, books what they used up when they hand
off, and asks its own parent when it runs short. Grants are always told as totals so far, so that a message that comes
twice, or after a reset, changes nothing.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

UNLIMITED = 10**15
"""Stands for a limit written as "none"; larger than anything a run can use."""

RESERVED_CALLS = 20
"""A planner keeps at least this many of its own worst-case model calls back from its children."""


class Amount(BaseModel):
    """Tokens (input and output of every model call) and worker tasks."""

    model_config = ConfigDict(frozen=True)

    tokens: int = 0
    tasks: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(tokens=self.tokens + other.tokens, tasks=self.tasks + other.tasks)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(tokens=self.tokens - other.tokens, tasks=self.tasks - other.tasks)

    def covers(self, other: "Amount") -> bool:
        """True when `other` can be taken from this amount."""
        return self.tokens >= other.tokens and self.tasks >= other.tasks

    def most(self, other: "Amount") -> "Amount":
        """The larger of each part."""
        return Amount(tokens=max(self.tokens, other.tokens), tasks=max(self.tasks, other.tasks))

    def least(self, other: "Amount") -> "Amount":
        """The smaller of each part, never below zero."""
        return Amount(tokens=max(0, min(self.tokens, other.tokens)), tasks=max(0, min(self.tasks, other.tasks)))


def _from_pair(value: Any) -> Any:
    return Amount(tokens=value[0], tasks=value[1]) if isinstance(value, list | tuple) else value


def _as_pair(amount: Amount) -> tuple[int, int]:
    return amount.tokens, amount.tasks


Pair = Annotated[Amount, BeforeValidator(_from_pair), PlainSerializer(_as_pair)]
"""An amount that is two bare numbers on the wire: a planner's state holds thousands."""


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

    def reserve(self, worst_call: int) -> int:
        """Tokens that are never lent: a tenth, at least twenty worst-case calls, but at most half of the grant.

        The last bound keeps a purse that is smaller than forty calls usable at all.
        """
        return min(max(self.granted.tokens // 10, RESERVED_CALLS * worst_call), self.granted.tokens // 2)

    def lendable(self, worst_call: int) -> Amount:
        """What children may still get."""
        free = self.balance
        return Amount(tokens=max(0, free.tokens - self.reserve(worst_call)), tasks=max(0, free.tasks))


def task_slice(task_tokens: int, worst_call: int) -> Amount:
    """The slice of a task: a tenth of `limits.task_tokens`, at least two worst-case calls, at most all of it.

    Dividing equally fails: of 100 tasks of one spawn 71 could not make two calls. No limit has no tenth: a slice of
    that size would fit into no purse.
    """
    tenth = task_tokens // 10 if task_tokens < UNLIMITED else 0
    return Amount(tokens=min(max(tenth, 2 * worst_call), task_tokens), tasks=1)


def planner_slice(lendable: Amount, worst_call: int) -> Amount:
    """The first slice of a sub-planner: a tenth of what its parent can lend.

    At least twice its own reserve, so that half of it can go to tasks, and at least one task; never more than there is.
    """
    wanted = Amount(
        tokens=max(lendable.tokens // 10, 2 * RESERVED_CALLS * worst_call), tasks=max(lendable.tasks // 10, 1)
    )
    return wanted.least(lendable)
