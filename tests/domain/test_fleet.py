"""Whole runs in memory, by chance: every one comes to an end, nothing is lost, nothing costs more than was granted."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.state.budget import UNLIMITED
from tests.domain.builders import NOW
from tests.domain.fleet import Fleet

STEPS = 20_000

fleets = st.builds(
    Fleet,
    st.integers(0, 2**32).map(Random),  # a run draws more than hypothesis can take apart
    tokens=st.sampled_from((900, 9_000, 12_000, 40_000, 90_000, 200_000, 600_000, 5_000_000, UNLIMITED)),
    tasks=st.sampled_from((1, 2, 5, 20, 1000)),
    task_tokens=st.sampled_from((500, 1_500, 10_000, 50_000, UNLIMITED)),
    usd=st.sampled_from((900, 3_000, 20_000, 200_000, UNLIMITED, UNLIMITED)),
    task_usd=st.sampled_from((300, 3_000, UNLIMITED)),
    changes=st.sampled_from((0, 0, 1, 5)),
    pauses=st.sampled_from((0, 0, 1, 6)),
    kills=st.sampled_from((0, 0, 1, 6)),
    fuel=st.integers(0, 40),
    hopeful=st.sampled_from((1.0, 1.0, 0.7, 0.2, 0.0)),
    deadline=st.sampled_from((None, None, NOW + 7, NOW + 70)),
)


@settings(max_examples=20, deadline=None)
@given(fleet=fleets)
def test_every_run_comes_to_an_end_and_its_books_add_up(fleet: Fleet) -> None:
    _to_the_end(fleet)


@pytest.mark.long
@pytest.mark.timeout(7_200)
@settings(max_examples=2_000, deadline=None)
@given(fleet=fleets)
def test_every_one_of_many_runs_comes_to_an_end_and_its_books_add_up(fleet: Fleet) -> None:
    _to_the_end(fleet)


def _to_the_end(fleet: Fleet) -> None:
    fleet.play(STEPS)
    root = fleet.run.root
    assert root is not None
    assert all(agent.closed for agent in fleet.agents.values())
    assert fleet.run.children is not None
    assert fleet.run.children.account.spent == fleet.used
    assert fleet.highest.covers(fleet.used)


@pytest.mark.parametrize(
    ("number", "limits"),
    [
        (38, {"tokens": 9_000, "tasks": 5, "task_tokens": 500, "usd": 20_000, "task_usd": 300, "fuel": 12}),
        (388, {"tokens": 40_000, "tasks": 5, "task_tokens": 1_500, "usd": 900, "task_usd": 300, "fuel": 38}),
    ],
)
def test_a_planner_that_has_nothing_to_give_back_answers_its_children(number: int, limits: dict[str, int]) -> None:
    """Its children hold the most of a task. It waited for its parent's answer to what it never said."""
    Fleet(Random(number), **limits, changes=5, hopeful=1.0, deadline=None).play(STEPS)
