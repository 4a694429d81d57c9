"""Prices of model calls: the operator's own table, else the published prices of the package `genai-prices`, offline.

A model that no table knows has no price. Its cost is `null` then, never 0, because it is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Protocol

import yaml
from pydantic import TypeAdapter, ValidationError

from headway.domain.errors import UserError
from headway.domain.spec import ModelPrice
from headway.models.endpoint import is_local
from headway.models.turn import Usage

Rate = Decimal
"""Dollars for a million tokens, which are micro-dollars for one."""


@dataclass(frozen=True, slots=True)
class Price:
    """Prices of tokens of each kind, for calls with up to so much input.

    Attributes:
        input: Fresh input.
        cached: Input read from the prompt cache.
        written: Input written to it.
        output: Output, reasoning included.
        above: The price of calls with more input tokens than the number with it, which then holds for all of them.
        is_own: The user or the operator named it. It then holds against what others say.
    """

    input: Rate
    cached: Rate
    written: Rate
    output: Rate
    above: tuple[tuple[int, "Price"], ...] = ()
    is_own: bool = False

    def cost(self, usage: Usage, tokens: int, write_factor: float = 1.0) -> int:
        """Micro-dollars of a call, rounded up.

        `tokens` is the whole usage of the call. The part that the server did not report is taken for the dearer kind.
        `write_factor` is the price of what was written to the cache, as a multiple of the published one.
        """
        at = self._at(tokens if usage.input is None else usage.input)
        given, made = usage.input or 0, usage.output or 0
        cached = min(usage.cached or 0, given)
        written = min(usage.written or 0, given - cached)
        unknown = max(0, tokens - given - made) if None in {usage.input, usage.output} else 0
        return _whole(
            (given - cached - written) * at.input
            + cached * at.cached
            + written * at.written * Decimal(str(write_factor))
            + made * at.output
            + unknown * max(at.input, at.output)
        )

    def of_input(self, usage: Usage) -> Decimal:
        """Price of a token that is read from a cache, as a part of the price of a fresh one; at most all of it."""
        at = self._at(usage.input or 0)
        return min(at.cached / at.input, Decimal(1)) if at.input else Decimal(1)

    def worst(self, given: int, made: int, write_factor: float = 1.0) -> int:
        """Micro-dollars that a call with so many tokens of input and output costs at most."""
        at = self._at(given)
        written = at.written * Decimal(str(write_factor))
        return _whole(given * max(at.input, at.cached, written) + made * at.output)

    def _at(self, given: int) -> "Price":
        return next((price for start, price in reversed(self.above) if given > start), self)


class PriceTable(Protocol):
    """Knows the prices of some models."""

    def price(self, model: str, base_url: str) -> Price | None:
        """The price of a model at an address, or None."""
        ...


class OwnPrices:
    """The operator's table, by the model's name: prices of a contract, or of a machine of one's own."""

    def __init__(self, prices: dict[str, ModelPrice]) -> None:
        self._prices = prices

    @classmethod
    def read(cls, path: Path) -> "OwnPrices":
        """The table in a YAML or JSON file: of each model `input` and `output`, `cached` and `written` if they differ.

        Raises:
            UserError: The file cannot be read or says something else.
        """
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(TypeAdapter(dict[str, ModelPrice]).validate_python(raw or {}))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"HEADWAY_PRICES: {path} cannot be read: {error}") from error
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise UserError(
                f"HEADWAY_PRICES: {path}: {told}",
                "It is one entry for each model: dollars for a million tokens as input, output, cached, written.",
            ) from error

    def price(self, model: str, base_url: str) -> Price | None:
        """The price that stands there, at whatever address."""
        del base_url
        found = self._prices.get(model)
        return None if found is None else price_from(found)


class PublishedPrices:
    """The prices that providers publish, as the package knows them. It asks no server."""

    def price(self, model: str, base_url: str) -> Price | None:
        """The price of a model at its provider's own address; None for a local server, whose price is not published."""
        if is_local(base_url):
            return None
        from genai_prices.data_snapshot import get_snapshot

        try:
            _, known = get_snapshot().find_provider_model(model, None, None, base_url)
        except LookupError:
            return None
        return _price_in(known.get_prices(datetime.now(UTC)))


class Prices:
    """Every table, the first that knows a model is right."""

    def __init__(self, tables: Sequence[PriceTable] = (PublishedPrices(),)) -> None:
        self._tables = tuple(tables)

    def of(self, model: str, base_url: str, own: ModelPrice | None = None) -> Price | None:
        """A model's price: by the run's input, else by the tables; None when neither knows one."""
        if own is not None:
            return price_from(own)
        found = (table.price(model, base_url) for table in self._tables)
        return next((price for price in found if price is not None), None)


def prices_from(path: str) -> Prices:
    """The tables of a worker process; `path` is HEADWAY_PRICES, or empty.

    Raises:
        UserError: The file cannot be read.
    """
    own = (OwnPrices.read(Path(path).expanduser()),) if path else ()
    return Prices((*own, PublishedPrices()))


def price_from(said: ModelPrice) -> Price:
    """A price as a user writes it."""
    input_, output = Decimal(str(said.input)), Decimal(str(said.output))
    cached = input_ if said.cached is None else Decimal(str(said.cached))
    written = input_ if said.written is None else Decimal(str(said.written))
    return Price(input=input_, cached=cached, written=written, output=output, is_own=True)


def _price_in(known: Any) -> Price | None:
    """A price of the package in our words; None where it names none for input or output."""
    parts = (known.input_mtok, known.cache_read_mtok, known.cache_write_mtok, known.output_mtok)
    if parts[0] is None or parts[3] is None:
        return None
    starts = sorted({tier.start for part in parts for tier in getattr(part, "tiers", ())})
    above = tuple((start, _flat(parts, start + 1)) for start in starts)
    base = _flat(parts, 0)
    return Price(base.input, base.cached, base.written, base.output, above)


def _flat(parts: Sequence[Any], given: int) -> Price:
    rates = [None if part is None else _rate(part, given) for part in parts]
    input_, cached, written, output = rates
    assert input_ is not None
    assert output is not None
    return Price(
        input=input_,
        cached=input_ if cached is None else cached,
        written=input_ if written is None else written,
        output=output,
    )


def _rate(part: Any, given: int) -> Decimal:
    tiers = [tier.price for tier in getattr(part, "tiers", ()) if given > tier.start]
    return Decimal(tiers[-1] if tiers else getattr(part, "base", part))


def _whole(micro: Decimal) -> int:
    return int(micro.to_integral_value(ROUND_CEILING))
