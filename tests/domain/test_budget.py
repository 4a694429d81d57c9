import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.state.budget import CALLS, TURN_CALLS, UNLIMITED, Account, Amount, Sizes

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


def sizes(task_tokens: int = 2_000_000, call: int = 20_000) -> Sizes:
    one = Amount(tokens=call, micro_usd=call)
    task = Amount(tokens=task_tokens, tasks=1, micro_usd=task_tokens)
    return Sizes(task_call=one, planner_call=one, root_call=one, task=task)


def even(tokens: int, tasks: int = 0) -> Amount:
    """The same number of tokens and micro-dollars."""
    return Amount(tokens=tokens, tasks=tasks, micro_usd=tokens)


@pytest.mark.parametrize(
    ("task_tokens", "tokens"),
    [
        pytest.param(2_000_000, 60_000, id="three calls at the size that they have"),
        pytest.param(50_000, 50_000, id="at most all of it"),
        pytest.param(UNLIMITED, 60_000, id="also without a limit"),
    ],
)
def test_the_first_slice_of_a_task(task_tokens: int, tokens: int) -> None:
    assert sizes(task_tokens).first_task == even(tokens, tasks=1)


@pytest.mark.parametrize(
    ("lendable", "claimants", "need", "more"),
    [
        pytest.param(100_000_000, 5, 1_000, 200_000, id="a tenth of its limit where there is plenty"),
        pytest.param(4_000_000, 10, 1_000, 100_000, id="a quarter of its part"),
        pytest.param(4_000_000, 1_000, 1_000, 41_000, id="at least two calls more than it needs"),
        pytest.param(30_000, 10, 1_000, 30_000, id="what there is, where there is less"),
        pytest.param(500, 10, 1_000, 1_000, id="never less than it needs"),
        pytest.param(4_000_000, 10, 1_990_000, None, id="nothing beyond its limit"),
    ],
)
def test_the_next_slice_of_a_task(lendable: int, claimants: int, need: int, more: int | None) -> None:
    found = sizes().next_task(even(need), even(60_000, tasks=1), even(lendable), claimants)
    assert found == (None if more is None else even(more))


@pytest.mark.parametrize(
    ("granted", "call", "reserve"),
    [
        pytest.param(20_000_000, 40_000, 2_000_000, id="a tenth"),
        pytest.param(900_000, 40_000, 120_000, id="at least three calls at their present size"),
        pytest.param(60_000, 40_000, 120_000, id="more than there is"),
        pytest.param(0, 0, 0, id="of nothing"),
    ],
)
def test_a_planner_keeps_a_reserve_back_for_its_own_turns(granted: int, call: int, reserve: int) -> None:
    account = Account(granted=even(granted), call=even(call))
    assert account.reserve == even(reserve)
    assert account.lendable == even(max(0, granted - reserve))


@given(granted=amounts, own=amounts, below=amounts, delegated=amounts, call=calls)
def test_what_can_be_lent_is_never_more_than_what_is_left(
    granted: Amount, own: Amount, below: Amount, delegated: Amount, call: Amount
) -> None:
    account = Account(granted=granted, own=own, below=below, delegated=delegated, call=call)
    assert account.balance.most(Amount()).covers(account.lendable)
    assert account.lendable.covers(Amount())
    assert account.granted == account.own + account.below + account.delegated + account.balance


@given(granted=amounts, own=amounts, delegated=amounts, call=calls)
def test_a_turn_and_the_children_that_start_meanwhile_fit_into_what_is_free(
    granted: Amount, own: Amount, delegated: Amount, call: Amount
) -> None:
    account = Account(granted=granted, own=own, delegated=delegated, call=call)
    account.aside = account.turn()
    assert account.free.covers(account.aside + account.lendable)
    enough = call.times(TURN_CALLS).most(granted.shared(10))
    assert (
        account.aside.covers(enough.model_copy(update={"tasks": 0}))
        or account.lendable.tokens == 0
        or (account.lendable.micro_usd == 0)
    )


@given(
    account=st.builds(Account, granted=amounts, own=amounts, delegated=amounts, call=calls, aside=calls),
    wanted=amounts,
)
def test_what_is_lacking_is_enough_once_it_is_granted(account: Account, wanted: Amount) -> None:
    lack = account.lacking(wanted)
    assert lack.covers(Amount())
    assert account.model_copy(update={"granted": account.granted + lack}).lendable.covers(wanted)
    assert bool(lack) != account.lendable.covers(wanted)


def test_the_least_run_pays_a_turn_the_reserve_and_a_task() -> None:
    known = sizes()
    account = Account(granted=known.least_run, call=known.root_call)
    account.own = known.root_call.times(CALLS)
    assert account.lendable.covers(known.first_task)
