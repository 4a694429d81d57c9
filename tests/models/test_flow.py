"""How many calls may be under way, after what the server said: the table, by example and by random walks."""

import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headway.models.breaker_state import FREE_AT, PROBES, BreakerState, Kind

HOUR = 3600.0
T = 1_800_000_000.0


def refused(flow: BreakerState, now: float, kind: Kind = "rate", delay: float | None = None) -> BreakerState:
    return flow.refused(flow.generation, kind, delay, "no", "wait", now)


def test_nothing_is_bounded_before_the_first_refusal() -> None:
    assert BreakerState().permits(T) == math.inf
    assert BreakerState().answered(0, T) == BreakerState()


def test_a_refusal_closes_until_the_reset_that_the_server_names() -> None:
    flow = refused(BreakerState(), T, delay=900)
    assert (flow.permits(T + 899), flow.permits(T + 900)) == (0, 1)


def test_one_call_tries_and_others_help_only_if_it_takes_long() -> None:
    flow = refused(BreakerState(), T, delay=10)
    assert [flow.permits(T + 10 + after) for after in (0, 29, 30, 60, 600)] == [1, 1, 2, 3, PROBES]


def test_of_a_quarter_of_an_hour_without_a_named_reset_three_tries_are_wasted_at_most() -> None:
    for kind in ("rate", "quota"):
        for delay in (None, 1.0, 20.0):
            flow, now, tries = refused(BreakerState(), T, kind, delay), T, 0
            while (now := flow.until) < T + 900:
                tries += 1
                flow = refused(flow, now, kind, delay)
            assert tries <= 3
            assert flow.until <= T + 3 * 900, "and it is found soon that the way is open"


def test_probes_that_help_each_other_count_as_wasted_too() -> None:
    flow, tries = refused(BreakerState(), T), 0
    while flow.until < T + 900:
        now = flow.until + 100  # each probe takes so long that all the others leave as well
        out = int(flow.permits(now))
        tries += out
        left = flow.generation
        for _ in range(out):
            flow = flow.refused(left, "rate", None, "no", "", now, probe=True)
    assert tries <= 3


def test_what_was_under_way_at_the_first_refusal_counts_once() -> None:
    first = refused(BreakerState(), T, delay=5)
    late = first
    for _ in range(300):
        late = late.refused(0, "rate", None, "no", "", T + 1)
    assert late == first
    later = first.refused(0, "rate", 60, "no", "", T + 1)
    assert later.until == T + 61, "unless it names a later reset"
    assert first.answered(0, T + 1) == first, "an answer to a call that left before is no proof that the way is open"


def test_calls_come_back_a_few_at_first_and_each_answer_lets_one_more() -> None:
    flow = refused(BreakerState(), T, delay=1).answered(1, T + 2)
    assert flow.permits(T + 2) == PROBES
    for _ in range(10):
        flow = flow.answered(1, T + 3)
    assert flow.permits(T + 3) == PROBES + 10
    while not flow.free:
        flow = flow.answered(1, T + 4)
    assert flow.permits(T + 4) == math.inf


def test_a_second_refusal_halves_where_the_bound_stops_to_double() -> None:
    flow = refused(BreakerState(), T, delay=1).answered(1, T + 2)
    while flow.bound < 40:
        flow = flow.answered(1, T + 3)
    flow = refused(flow, T + 4, delay=1).answered(2, T + 6)
    assert flow.turn == 20
    answers = 0
    while flow.bound < 21:
        flow, answers = flow.answered(2, T + 7), answers + 1
    assert answers == 17 + 21, "one more for each answer up to there, then one for a whole round"


def test_a_probe_without_an_answer_is_followed_by_another_soon() -> None:
    flow = refused(BreakerState(), T, "quota")
    assert flow.failed(0, T + 1) == flow
    again = flow.failed(1, T + 60)
    assert [again.permits(T + 60 + after) for after in (4, 5)] == [0, 1]
    assert (again.refusals, again.why, again.kind) == (1, "no", "quota"), "it is no refusal"
    assert not again.answered(2, T + 66).closed


@given(st.floats(0, 1e9), st.sampled_from(["rate", "quota", "key", "model", "tools", "unreachable"]))
def test_no_server_closes_for_longer_than_an_hour(delay: float, kind: Kind) -> None:
    assert refused(BreakerState(), T, kind, delay).until <= T + HOUR


class Walk(RuleBasedStateMachine):
    """Calls that leave when they may, and every order in which their outcomes come back."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = BreakerState()
        self.now = T
        self.out: list[int] = []

    @precondition(lambda self: len(self.out) < min(self.flow.permits(self.now), 20))
    @rule()
    def leave(self) -> None:
        self.out.append(self.flow.generation)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), delay=st.none() | st.floats(0, 100))
    def refuse(self, data: st.DataObject, delay: float | None) -> None:
        generation = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.flow
        self.flow = self.flow.refused(generation, "rate", delay, "no", "", self.now)
        assert self.flow.closed or generation < before.generation

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        generation = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.flow = self.flow.answered(generation, self.now)

    @rule(seconds=st.floats(0, 120))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_always_opens_again(self) -> None:
        assert self.flow.permits(max(self.now, self.flow.until)) >= 1
        assert self.flow.until <= self.now + HOUR
        assert self.flow.turn >= 1
        assert self.flow.bound == math.inf or self.flow.bound < FREE_AT


TestWalk = Walk.TestCase
