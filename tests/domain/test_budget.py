import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.budget import RESERVED_CALLS, UNLIMITED, Amount, Purse, planner_slice, task_slice

numbers = st.integers(0, 10**9)
amounts = st.builds(Amount, tokens=numbers, tasks=st.integers(0, 1000), micro_usd=numbers)
calls = st.builds(Amount, tokens=st.integers(1, 300_000), micro_usd=st.integers(0, 5_000_000))


@given(a=amounts, b=amounts)
def test_what_is_lent_and_given_back_leaves_nothing_behind(a: Amount, b: Amount) -> None:
    assert a + b - b == a


@given(a=amounts, b=amounts)
def test_an_amount_covers_another_when_every_part_does(a: Amount, b: Amount) -> None:
    assert a.most(b).covers(a)
    assert a.covers(a.least(b))
    assert a.covers(b) == (a.most(b) == a)


@pytest.mark.parametrize(
    ("task_tokens", "worst_call", "tokens"),
    [
        pytest.param(2_000_000, 40_000, 200_000, id="a tenth"),
        pytest.param(2_000_000, 216_000, 432_000, id="at least two worst-case calls"),
        pytest.param(300_000, 216_000, 300_000, id="at most all of it"),
        pytest.param(UNLIMITED, 40_000, 80_000, id="no limit has no tenth"),
    ],
)
def test_the_slice_of_a_task(task_tokens: int, worst_call: int, tokens: int) -> None:
    task = Amount(tokens=task_tokens, micro_usd=task_tokens)
    worst = Amount(tokens=worst_call, micro_usd=worst_call)
    assert task_slice(task, worst) == Amount(tokens=tokens, tasks=1, micro_usd=tokens)


@pytest.mark.parametrize(
    ("granted", "worst_call", "reserve"),
    [
        pytest.param(20_000_000, 40_000, 2_000_000, id="a tenth"),
        pytest.param(2_000_000, 40_000, 800_000, id="at least twenty worst-case calls"),
        pytest.param(1_000_000, 40_000, 500_000, id="at most half"),
        pytest.param(0, 40_000, 0, id="of nothing"),
    ],
)
def test_a_planner_keeps_a_reserve_back_for_its_own_turns(granted: int, worst_call: int, reserve: int) -> None:
    purse = Purse(granted=Amount(tokens=granted, micro_usd=granted))
    worst = Amount(tokens=worst_call, micro_usd=worst_call)
    assert purse.reserve(worst) == Amount(tokens=reserve, micro_usd=reserve)
    assert purse.lendable(worst) == Amount(tokens=granted - reserve, micro_usd=granted - reserve)


@given(granted=amounts, own=amounts, below=amounts, lent=amounts, worst_call=calls)
def test_what_can_be_lent_is_never_more_than_what_is_left(
    granted: Amount, own: Amount, below: Amount, lent: Amount, worst_call: Amount
) -> None:
    purse = Purse(granted=granted, own=own, below=below, lent=lent)
    lendable = purse.lendable(worst_call)
    assert purse.balance.most(Amount()).covers(lendable)
    assert lendable.covers(Amount())
    assert purse.granted == purse.own + purse.below + purse.lent + purse.balance


@given(lendable=amounts, worst_call=calls)
def test_a_sub_planner_s_slice_fits_into_what_can_be_lent(lendable: Amount, worst_call: Amount) -> None:
    part = planner_slice(lendable, worst_call)
    assert lendable.covers(part)
    assert part.tokens >= min(lendable.tokens, 2 * RESERVED_CALLS * worst_call.tokens)
    assert part.tasks >= min(lendable.tasks, 1)


@given(granted=st.integers(0, 10**9), worst_call=calls)
def test_a_sub_planner_can_lend_half_of_a_full_first_slice(granted: int, worst_call: Amount) -> None:
    part = planner_slice(Amount(tokens=granted, tasks=10), worst_call)
    assert Purse(granted=part).lendable(worst_call).tokens >= part.tokens // 2
