"""What an agent used up, by its log, and what its next call may use up. Paid is paid: a fork gives nothing back.

Before a call its worst case is reserved, which is noted with the request. The answer settles it. A call that was cut
off, by a connection or by the end of the process, counts as reserved: the server may have been at work to the end, and
whoever counted less could go beyond the limit with every kill.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from headway.domain.budget import Amount
from headway.domain.events import Event
from headway.model.prices import Price
from headway.model.turn import Turn

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


@dataclass(frozen=True)
class Meter:
    """Says what calls of one model use up; `price` None: their tokens are counted as unpriced."""

    price: Price | None = None

    def reserve(self, given: int, made: int) -> Amount:
        """The worst case of a call with so many tokens of input and output."""
        tokens = given + made
        if self.price is None:
            return Amount(tokens=tokens, unpriced=tokens)
        return Amount(tokens=tokens, micro_usd=self.price.worst(given, made))

    def settle(self, turn: Turn) -> Amount:
        """What an answered call used up."""
        if self.price is None:
            return Amount(tokens=turn.tokens, unpriced=turn.tokens)
        return Amount(tokens=turn.tokens, micro_usd=self.price.cost(turn.usage, turn.tokens))


def noted(amount: Amount) -> dict[str, Any]:
    """An amount as an event tells it: the price is null where it is not known."""
    return {"tokens": amount.tokens, "micro_usd": None if amount.unpriced else amount.micro_usd}


def usage_of(events: Iterable[Event]) -> Usage:
    """The sum over events in physical order, abandoned ones included."""
    usage, reserved = Usage(), Amount()
    for event in events:
        match event.type:
            case "llm.request":
                usage, reserved = usage.plus(reserved), _amount(event.data.get("reserved"))
            case "llm.response":
                usage, reserved = usage.plus(_amount(event.data), calls=1), Amount()
            case "llm.retry":
                usage, reserved = usage.plus(reserved if event.data.get("cut_off") else Amount()), Amount()
            case _:
                continue
    return usage.plus(reserved)


def missing(paid: Amount, reserve: Amount, granted: Amount, *, dollars: bool) -> Amount:
    """What a grant lacks for the next call; nothing when the call may be made."""
    short = paid + reserve - granted
    return Amount(tokens=max(0, short.tokens), micro_usd=max(0, short.micro_usd) if dollars else 0)


def _amount(data: dict[str, Any] | None) -> Amount:
    if not data:
        return Amount()
    tokens, micro_usd = int(data["tokens"]), data.get("micro_usd")
    return Amount(tokens=tokens, unpriced=tokens) if micro_usd is None else Amount(tokens=tokens, micro_usd=micro_usd)
