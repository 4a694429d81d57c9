"""What an agent used up, by its log: settled, reserved where nobody knows, unpriced where nobody can say."""

from headway.agents.loop.usage import Usage, missing, noted, usage_of
from headway.domain.spec import ModelPrice
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import LlmRequest, LlmResponse
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.models.meter import Meter
from headway.models.prices import price_from
from headway.models.turn import Turn
from headway.models.turn import Usage as Reported
from tests.support.events import event, reply, retry

PRICED = Meter(price_from(ModelPrice(input=1.0, output=10.0)))
RESERVE = PRICED.reserve(100, 50)


def asked() -> AnyEvent:
    return event(LlmRequest(step=1, model="m", reserved=noted(RESERVE)))


def answered(meter: Meter = PRICED) -> Event[LlmResponse]:
    turn = Turn(items=(), raw=(), counted=Reported(input=90, output=10), tokens=100, stop="text")
    return event(reply(**dict(noted(meter.settle(turn)))))


def test_an_answer_settles_what_was_reserved() -> None:
    assert usage_of([asked(), answered()]) == Usage(Amount(tokens=100, micro_usd=190), calls=1)


def test_a_refused_call_costs_nothing() -> None:
    assert usage_of([asked(), event(retry()), asked(), answered()]).amount.tokens == 100


def test_a_call_that_was_cut_off_counts_as_reserved() -> None:
    assert usage_of([asked(), event(retry(cut_off=True))]).amount == RESERVE


def test_a_call_whose_process_died_counts_as_reserved_whether_it_is_asked_again_or_not() -> None:
    assert usage_of([asked()]).amount == RESERVE
    assert usage_of([asked(), asked(), answered()]).amount == RESERVE + Amount(tokens=100, micro_usd=190)


def test_without_a_price_tokens_are_unpriced_and_the_cost_is_null() -> None:
    said = answered(Meter())
    assert said.body.micro_usd is None
    both = usage_of([answered(), said]).amount
    assert (both.unpriced, both.usd) == (100, None)
    assert usage_of([answered()]).amount.usd == 0.00019


def test_a_grant_lacks_tokens_or_dollars_for_the_next_call() -> None:
    granted = Amount(tokens=200, tasks=1, micro_usd=700)
    paid = Amount(tokens=60, micro_usd=150)
    assert missing(paid, RESERVE, granted, dollars=True) == Amount(tokens=10, micro_usd=50)
    assert missing(paid, RESERVE, granted, dollars=False) == Amount(tokens=10)
    assert missing(Amount(), RESERVE, granted, dollars=True) == Amount()
