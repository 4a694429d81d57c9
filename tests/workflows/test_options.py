"""How often a question without an answer is repeated."""

from itertools import accumulate, repeat, takewhile

from headway.domain.defaults import AUDIT_S
from headway.domain.state.waits import asked_again_after

HOLD_S = 72 * 3600


def test_a_task_that_waits_for_its_budget_for_three_days_asks_hourly_in_the_end() -> None:
    waits = accumulate(repeat(None, 1000), lambda seconds, _: asked_again_after(seconds), initial=float(AUDIT_S))
    asked = sum(1 for _ in takewhile(lambda at: at < HOLD_S, accumulate(waits)))
    assert 72 <= asked <= 76


def test_the_pause_never_shrinks() -> None:
    assert [asked_again_after(seconds) for seconds in (1, 600, 3000, 3600, 7200)] == [2, 1200, 3600, 3600, 7200]
