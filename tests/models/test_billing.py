"""What a call cost: by a server's counts, by estimates where it counts nothing, by a gateway's own word."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.agents.loop.usage import failed, of_failure
from headway.domain.spec import ModelPrice
from headway.domain.state.budget import Amount
from headway.models.adapter import Request
from headway.models.billing import MAX_COST, cost_in
from headway.models.client import Model
from headway.models.failures import FatalModelError, Unusable
from headway.models.meter import Meter
from headway.models.prices import Price, Prices, price_from
from headway.models.roles import Chosen
from headway.models.turn import Turn, Usage
from tests.models.servers import Answer, Asked, Server, event_of

OK: dict[str, Any] = {"id": "1", "model": "m", "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
COUNTS: dict[str, Any] = {"prompt_tokens": 300, "completion_tokens": 5}
OWN = price_from(ModelPrice(input=2, output=10, cached=0.2))
PUBLISHED = replace(OWN, is_own=False)


def turn(cost: int | None = None, cached: int = 0) -> Turn:
    usage = Usage(input=1000, cached=cached, output=100)
    return Turn(items=(), raw=(), stop="text", usage=usage, counted=usage, tokens=1100, cost=cost)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("usage", "headers", "cost"),
    [
        (COUNTS | {"cost": 0.001234}, {}, 1234),
        (COUNTS | {"cost": 0.0012341}, {}, 1235),
        (COUNTS | {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, {}, 210_000),
        (COUNTS, {"x-litellm-response-cost": "0.0025"}, 2500),
        (COUNTS, {"x-litellm-response-cost": "0.0"}, None),
        (COUNTS | {"cost": 0}, {}, None),
        (COUNTS | {"cost": {"total": 1}}, {"x-litellm-response-cost": "None"}, None),
        (COUNTS, {}, None),
    ],
)
async def test_a_gateway_says_what_a_call_cost(  # noqa: PLR0917 - fixtures and cases
    server: Server,
    model_of: Callable[..., Model],
    request_: Request,
    stream: bool,
    usage: dict[str, Any],
    headers: dict[str, str],
    cost: int | None,
) -> None:
    pieces = [{"choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
    whole = Answer(OK | {"usage": usage}, headers=headers)
    raw = b"".join(map(event_of, pieces)) + b"data: [DONE]\n\n"
    server.answer = Answer(raw, headers=headers | {"Content-Type": "text/event-stream"}) if stream else whole
    assert (await model_of().answer(request_)).cost == cost


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9), st.lists, max_leaves=3)
)
def test_no_figure_of_a_server_is_beyond_reason(figure: Any) -> None:
    for body in ({"usage": {"cost": figure}}, {"usage": figure}, figure):
        cost = cost_in(body, {"x-litellm-response-cost": figure} if isinstance(figure, str) else {})
        assert cost is None or 0 < cost <= MAX_COST


@pytest.mark.parametrize(
    ("price", "cost", "amount"),
    [
        (None, None, Amount(tokens=1100, unpriced=1100)),
        (None, 700, Amount(tokens=1100, micro_usd=700)),
        (PUBLISHED, None, Amount(tokens=1100, micro_usd=3000)),
        (PUBLISHED, 700, Amount(tokens=1100, micro_usd=700)),
        (OWN, 700, Amount(tokens=1100, micro_usd=3000)),
    ],
)
def test_the_word_of_a_gateway_goes_before_a_published_price_and_behind_ones_own(
    price: Price | None, cost: int | None, amount: Amount
) -> None:
    assert Meter(price).settle(turn(cost)) == amount


@pytest.mark.parametrize(
    ("price", "full", "tokens"),
    [
        (OWN, False, 100 + 100 + 90),
        (OWN, True, 1100),
        (price_from(ModelPrice(input=2, output=10)), False, 1100),
        (price_from(ModelPrice(input=0, output=0)), False, 1100),
        (None, False, 100 + 100 + 90),
        (None, True, 1100),
    ],
)
def test_tokens_from_a_cache_count_by_their_price_unless_they_count_in_full(
    price: Price | None, full: bool, tokens: int
) -> None:
    assert Meter(price, full).settle(turn(cached=900)).tokens == tokens


class Table:
    def price(self, model: str, base_url: str) -> Price | None:
        return {"small": PUBLISHED}.get(model)


def test_the_model_that_answered_is_priced(model_of: Callable[..., Model]) -> None:
    dear = replace(PUBLISHED, input=40 * PUBLISHED.input)
    chosen = Chosen(model_of(), "large", price=dear, prices=Prices([Table()]))
    for answered, price in (("small", PUBLISHED), ("large", dear), ("", dear), ("large-2026-11-30", dear)):
        assert chosen.meter(answered).price == price
    own = Chosen(model_of(), "large", price=OWN, prices=Prices([Table()]))
    assert own.meter("small").price == OWN


@pytest.mark.parametrize("usage", [{}, {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, {"usage": None}])
async def test_what_no_server_counts_is_estimated_by_its_kind_and_told_once(
    server: Server, model_of: Callable[..., Model], request_: Request, usage: dict[str, Any]
) -> None:
    told: list[str] = []
    model = model_of()
    model._billing._tell = told.append
    server.answer = Answer(OK | usage)
    found = [await model.answer(request_) for _ in range(2)]
    assert (found[0].usage.input, found[0].usage.output) == (None, None), "which marks it"
    assert found[0].counted.input == model.estimate_tokens(len(server.asked[0].body), request_.model)
    assert found[0].tokens == (found[0].counted.input or 0) + (found[0].counted.output or 0)
    assert len(told) == 1
    assert "estimated" in told[0]
    made = found[0].counted.output or 0
    assert Meter(OWN).settle(found[0]).micro_usd == 2 * (found[0].counted.input or 0) + 10 * made


async def test_the_small_call_behind_a_403_is_counted(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    def answer(asked: Asked) -> Answer:
        is_small = "ready" in json.dumps(asked.json)
        return Answer(OK | {"usage": COUNTS}) if is_small else Answer({"error": {"message": "no"}}, status=403)

    server.answer = answer
    with pytest.raises(FatalModelError) as raised:
        await model_of().answer(request_)
    spent, cut_off = of_failure(raised.value, Amount(tokens=9999), Meter(OWN))
    assert (spent, cut_off) == (Amount(tokens=305, micro_usd=650), False)
    told = failed(1, raised.value, "", spent, cut_off=cut_off)
    assert (told.tokens, told.cost.amount) == (305, spent)


async def test_an_answer_without_a_reply_that_says_its_usage_counts_as_that(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer({"choices": [], "usage": COUNTS})
    with pytest.raises(Unusable) as raised:
        await model_of().answer(request_)
    assert of_failure(raised.value, Amount(tokens=9999), Meter(OWN))[0].tokens == 305
    server.answer = Answer({"choices": []})
    with pytest.raises(Unusable) as raised:
        await model_of().answer(request_)
    assert of_failure(raised.value, Amount(tokens=9999), Meter(OWN))[0].tokens == 9999
