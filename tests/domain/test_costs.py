"""The work of a decision, counted and not timed."""

import pytest

from headway.domain.decisions.planner import decide
from headway.domain.planner_turn import ChildKind
from headway.domain.state.budget import Amount
from tests.domain.builders import CALL, NOW, SLICE, planner, spawned


def test_deciding_costs_in_proportion_to_the_sub_planners_that_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, really = [0], Amount.__bool__

    def look(amount: Amount) -> bool:
        looks[0] += 1
        return really(amount)

    def looks_with(many: int) -> int:
        state = planner(tokens=10_000_000, tasks=10_000, last_heard=NOW, rest="wait")
        for index in range(many):
            asked = spawned(index + 1, 0, kind=ChildKind.PLANNER)
            state.children.ask_for(asked)
            state.children.start(asked.key, Amount(tokens=SLICE, tasks=1))
            state.children.open[asked.key].need = Amount(tokens=CALL)
        looks[0] = 0
        decide(state, NOW)
        return looks[0]

    monkeypatch.setattr(Amount, "__bool__", look)
    assert looks_with(200) < 2.5 * looks_with(100)
