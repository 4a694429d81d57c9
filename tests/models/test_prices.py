"""What calls cost: whole micro-dollars, from the operator's table before the published one; None where nobody knows."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.spec import ModelPrice
from headway.models.prices import OwnPrices, Price, Prices, PublishedPrices, price_from, prices_from
from headway.models.turn import Usage

OPENAI = "https://api.openai.com/v1"
PLAIN = price_from(ModelPrice(input=2.0, cached=0.2, written=2.5, output=10.0))
ONE, TWO, FOUR, SIX = (Decimal(number) for number in (1, 2, 4, 6))
TIERED = Price(ONE, ONE, ONE, FOUR, above=((1000, Price(TWO, TWO, TWO, SIX)),))


@pytest.mark.parametrize(
    ("usage", "tokens", "micro_usd"),
    [
        pytest.param(Usage(input=1000, output=100), 1100, 3000, id="input and output"),
        pytest.param(Usage(input=1000, cached=800, output=0), 1000, 400 + 160, id="read from the cache"),
        pytest.param(Usage(input=1000, cached=500, written=300, output=0), 1000, 400 + 100 + 750, id="written to it"),
        pytest.param(Usage(input=100, cached=900, output=0), 100, 20, id="no more cached than there is input"),
        pytest.param(Usage(), 500, 5000, id="nothing reported counts as the dearer kind"),
        pytest.param(Usage(input=100), 150, 200 + 500, id="nothing reported of the output"),
        pytest.param(Usage(input=1, cached=1, output=0), 1, 1, id="rounded up"),
    ],
)
def test_a_call_costs_the_sum_of_its_kinds(usage: Usage, tokens: int, micro_usd: int) -> None:
    assert PLAIN.cost(usage, tokens) == micro_usd


def test_a_large_input_costs_more_for_all_of_its_tokens() -> None:
    assert TIERED.cost(Usage(input=1000, output=10), 1010) == 1040
    assert TIERED.cost(Usage(input=1001, output=10), 1011) == 2062
    assert TIERED.worst(1001, 10) == 2062


def test_a_write_for_longer_costs_more_and_its_worst_case_too() -> None:
    usage = Usage(input=100, cached=40, written=50, output=0)
    assert PLAIN.cost(usage, 100, 2.0) - PLAIN.cost(usage, 100) == 50 * PLAIN.written
    assert PLAIN.worst(100, 0, 2.0) == 2 * 100 * PLAIN.written >= PLAIN.cost(Usage(input=100, written=100), 100, 2.0)


@given(
    given=st.integers(0, 300_000),
    made=st.integers(0, 10_000),
    cached=st.integers(0, 300_000),
    wrote=st.integers(0, 999),
)
def test_no_call_costs_more_than_its_worst_case(given: int, made: int, cached: int, wrote: int) -> None:
    usage = Usage(input=given, output=made, cached=cached, written=wrote)
    for price in (PLAIN, TIERED):
        assert 0 <= price.cost(usage, given + made) <= price.worst(given, made)


def test_published_prices_are_those_of_a_provider_s_own_address() -> None:
    known = PublishedPrices().price("gpt-5.2", OPENAI)
    assert known is not None
    assert known.output > known.input > known.cached > 0


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("no-such-model", OPENAI),
        ("gpt-5.2", "http://localhost:8000/v1"),
        ("gpt-5.2", "http://192.168.1.4:8000/v1"),
        ("gpt-5.2", "https://gateway.example.com/v1"),
    ],
)
def test_what_nobody_published_has_no_price(model: str, address: str) -> None:
    assert Prices().of(model, address) is None


def test_the_run_s_own_price_goes_before_the_operator_s_and_that_before_the_published_one(tmp_path: Path) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text("gpt-5.2: {input: 1, output: 2}\nour-own: {input: 0, output: 0, cached: 0}\n")
    prices = prices_from(str(table))
    assert prices.of("gpt-5.2", OPENAI) == price_from(ModelPrice(input=1.0, output=2.0))
    assert prices.of("gpt-5.2", OPENAI, ModelPrice(input=3.0, output=4.0)) == price_from(
        ModelPrice(input=3.0, output=4.0)
    )
    free = prices.of("our-own", "http://localhost:1/v1")
    assert free is not None
    assert free.worst(10**6, 10**6) == 0
    assert prices.of("gpt-4o", OPENAI) == PublishedPrices().price("gpt-4o", OPENAI)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("m: {input: 1}", "m.output"),
        ("m: {input: -1, output: 1}", "m.input"),
        ("m: {input: 1, output: 1, cahced: 1}", "cahced"),
        ("[1, 2]", "HEADWAY_PRICES"),
        ("{", "cannot be read"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(text)
    with pytest.raises(UserError, match=problem):
        OwnPrices.read(table)
    with pytest.raises(UserError, match="cannot be read"):
        OwnPrices.read(tmp_path / "none.yaml")
