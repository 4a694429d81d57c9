"""An agent's usage by its log (`headway.trace.paid`), and the worst case of its next call."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from headway.domain.budget import Amount
from headway.domain.events import Event
from headway.model.prices import Price
from headway.model.turn import Turn
from headway.trace.paid import Paid

NOTHING = Amount()


@dataclass(frozen=True)
class Usage:
    """All model calls of an agent.

    Attributes:
        amount: What they used up, without tasks.
        calls: How many were answered.
    """

    amount: Amount = NOTHING
    calls: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all calls."""
        return self.amount.tokens

    def plus(self, amount: Amount, *, calls: int = 0) -> "Usage":
        """The same and one more."""
        return Usage(self.amount + amount, self.calls + calls)


@dataclass
class Gauge:
    """Size of the newest answered request: bytes as they were sent, tokens as they were reported."""

    asked: int = 0
    nbytes: int = 0
    tokens: int | None = None


@dataclass(frozen=True)
class Meter:
    """Says what calls of one model use up; `price` None: their tokens are counted as unpriced."""

    price: Price | None = None

    def reserve(self, given: int, made: int, write_factor: float = 1.0) -> Amount:
        """The worst case of a call with so many tokens of input and output; see `Turn.write_factor`."""
        tokens = given + made
        if self.price is None:
            return Amount(tokens=tokens, unpriced=tokens)
        return Amount(tokens=tokens, micro_usd=self.price.worst(given, made, write_factor))

    def settle(self, turn: Turn) -> Amount:
        """What an answered call used up."""
        if self.price is None:
            return Amount(tokens=turn.tokens, unpriced=turn.tokens)
        return Amount(tokens=turn.tokens, micro_usd=self.price.cost(turn.usage, turn.tokens, turn.write_factor))


def noted(amount: Amount) -> dict[str, Any]:
    """An amount as an event tells it: the price is null where it is not known."""
    return {"tokens": amount.tokens, "micro_usd": None if amount.unpriced else amount.micro_usd}


def usage_of(events: Iterable[Event]) -> Usage:
    """The sum over events in physical order, abandoned ones included. A call under way counts as reserved."""
    paid = Paid()
    for event in events:
        paid.take(event.type, event.data)
    return Usage(paid.settled + paid.reserved, paid.calls)


def missing(paid: Amount, reserve: Amount, granted: Amount, *, dollars: bool) -> Amount:
    """What a grant lacks for the next call; nothing when the call may be made."""
    short = paid + reserve - granted
    return Amount(tokens=max(0, short.tokens), micro_usd=max(0, short.micro_usd) if dollars else 0)
