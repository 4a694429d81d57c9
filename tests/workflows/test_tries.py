"""An activity fails for good after failures in a row, and never for a sum over its life."""

from hypothesis import given
from hypothesis import strategies as st

from activities.tries import APART_S, BUG_TRIES, Tries

LIFE = st.lists(
    st.tuples(st.sampled_from("ffffffffe"), st.sampled_from([1.0, 10.0, APART_S, APART_S + 1])), max_size=120
)


@given(LIFE)
def test_only_failures_in_a_row_are_counted(life: list[tuple[str, float]]) -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    row = 0
    for what, passed in life:
        now[0] += passed
        row = 0 if passed > APART_S else row
        if what == "e":
            tries.ended("a")
            row = 0
            continue
        row += 1
        assert tries.failed("a") == (row == BUG_TRIES)
        row %= BUG_TRIES


def test_sporadic_faults_of_a_week_end_nothing() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    for _ in range(5 * BUG_TRIES):
        now[0] += 3600
        assert not tries.failed("a")


def test_activities_are_counted_apart() -> None:
    tries = Tries(lambda: 0.0)
    assert not any(tries.failed(f"a{n}") for n in range(5 * BUG_TRIES))
