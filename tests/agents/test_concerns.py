"""Concerns: what fifty workers report is one problem, reported fifty times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.agents.planner.concerns import POINTS, Concern, merged, points_of, sameness
from headway.domain.ids import ChildKey

ONE, TWO, THREE = (ChildKey(f"1.{n}-{n:08x}") for n in range(3))


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("", ()),
        ("The tests\nare slow.", ("The tests are slow.",)),
        ("- The tests are slow.\n- No docs.", ("The tests are slow.", "No docs.")),
        ("1. One\n   more of one\n2) Two", ("One more of one", "Two")),
        ("First.\n\nSecond.\n", ("First.", "Second.")),
        ("Before:\n* one\n* two", ("Before:", "one", "two")),
    ],
)
def test_each_point_stands_for_itself(text: str, points: tuple[str, ...]) -> None:
    assert points_of(text) == points


@given(st.text(max_size=400))
def test_points_are_few_and_on_one_line(text: str) -> None:
    points = points_of(text)
    assert len(points) <= POINTS
    assert all(point.strip() and "\n" not in point for point in points)


def test_the_same_words_are_the_same_problem() -> None:
    assert sameness("The tests are SLOW (12 s)!") == sameness("the tests are slow: 340 s")
    assert sameness("The tests are slow") != sameness("The tests are wrong")


def test_the_most_reported_comes_first_with_its_count() -> None:
    found = merged({ONE: ("No docs.", "Slow: 3 s."), TWO: ("slow: 12 s",), THREE: ("Slow: 4 s", "Slow: 5 s")})
    assert found == [Concern("Slow: 3 s.", (ONE, TWO, THREE)), Concern("No docs.", (ONE,))]
    assert str(found[0]) == f"Slow: 3 s. (reported 3 times: {ONE}, {TWO}, {THREE})"
    assert str(found[1]) == f"No docs. ({ONE})"


def test_who_reports_it_is_named_in_part() -> None:
    keys = [ChildKey(f"1.{n}-{n:08x}") for n in range(50)]
    (found,) = merged(dict.fromkeys(keys, ("Slow.",)))
    assert str(found).startswith("Slow. (reported 50 times: 1.0-00000000, ")
    assert str(found).endswith(", …)")
