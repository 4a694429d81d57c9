"""Estimates the tokens of some bytes: bytes / 4, corrected by servers' reports. Needs no tokenizer and no download."""

from math import ceil

from headway.system.cache import BoundedCache

TOKENS_PER_BYTE = 0.25
WEIGHT = 0.2
LOWEST, HIGHEST = 1 / 16, 1.0
UNKNOWN_MARGIN = 1.4
KNOWN_MARGIN = 1.15
MODELS_KEPT = 100
"""Models of one endpoint that a process remembers. Runs may name any number of them."""
SMALLEST_SAMPLE = 200
"""Bytes below which a report says more about a server's own additions than about its tokenizer."""


class TokenEstimate:
    """Tokens per byte of each model, as an exponentially weighted mean of reports."""

    def __init__(self) -> None:
        self._rates: BoundedCache[str, float] = BoundedCache(MODELS_KEPT)

    def learn(self, model: str, nbytes: int, tokens: int | None) -> None:
        """Takes in one report."""
        if tokens is None or tokens <= 0 or nbytes < SMALLEST_SAMPLE:
            return
        seen = min(max(tokens / nbytes, LOWEST), HIGHEST)
        known = self._rates.get(model)
        self._rates.put(model, seen if known is None else known * (1 - WEIGHT) + seen * WEIGHT)

    def knows(self, model: str) -> bool:
        """True if a server has reported on the model."""
        return model in self._rates

    def estimate(self, nbytes: int, model: str = "") -> int:
        """The likely number of tokens; of a model not heard of yet, by the highest rate known, or bytes / 4."""
        return ceil(nbytes * self._rate(model))

    def bound(self, nbytes: int, model: str = "") -> int:
        """A number that the tokens will hardly exceed."""
        return ceil(nbytes * self._rate(model) * (KNOWN_MARGIN if len(self._rates) else UNKNOWN_MARGIN))

    def _rate(self, model: str) -> float:
        return self._rates.get(model) or max(self._rates.values(), default=TOKENS_PER_BYTE)
