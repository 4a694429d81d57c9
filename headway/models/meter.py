"""The usage of one model's calls in tokens and dollars: the worst case before a call, the reported usage after it."""

from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from headway.domain.state.budget import Amount
from headway.models.prices import Price
from headway.models.turn import Turn

CACHED_PART = Decimal("0.1")
"""Price of a token from a cache as a part of a fresh one, where no price is known: most providers ask so much."""


@dataclass(frozen=True)
class Meter:
    """The usage of one model's calls; `price` None: their tokens are counted as unpriced.

    Attributes:
        is_full: Tokens that are read from a cache count like others, and not by their price.
    """

    price: Price | None = None
    is_full: bool = False

    def reserve(self, given: int, made: int, write_factor: float = 1.0) -> Amount:
        """The worst case of a call with so many tokens of input and output; see `Turn.write_factor`."""
        tokens = given + made
        if self.price is None:
            return Amount(tokens=tokens, unpriced=tokens)
        return Amount(tokens=tokens, micro_usd=self.price.worst(given, made, write_factor))

    def settle(self, turn: Turn) -> Amount:
        """The usage of an answered call."""
        tokens = turn.tokens if self.is_full else self._by_price(turn)
        if turn.cost is not None and not (self.price is not None and self.price.is_own):
            return Amount(tokens=tokens, micro_usd=turn.cost)
        if self.price is None:
            return Amount(tokens=tokens, unpriced=tokens)
        return Amount(tokens=tokens, micro_usd=self.price.cost(turn.counted, turn.tokens, turn.write_factor))

    def _by_price(self, turn: Turn) -> int:
        """Tokens of a call, of which those from a cache count as the fresh ones that cost the same."""
        cached = turn.counted.cached or 0
        part = CACHED_PART if self.price is None else self.price.of_input(turn.counted)
        return max(1, turn.tokens - cached + ceil(cached * part))
