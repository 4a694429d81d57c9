"""A run is stalled when nothing is achieved although its agents could work."""

import pytest

from headway.domain.ids import AgentId
from headway.domain.model_outage import ModelOutage
from headway.domain.orders.pause import Pause
from headway.domain.run import Published
from headway.domain.run_status import notes, status
from headway.domain.stall import STALLED_S, Stall
from headway.domain.state.run import RunState
from tests.domain.builders import COMMIT, NOW, RUN, prepared

STEPS = (3, -3, 3_600, -3_600, 31_536_000, -31_536_000)

EVERY_S = 300.0
LOOKS = int(STALLED_S / EVERY_S)


def begun() -> RunState:
    state = RunState()
    state.open(prepared(), NOW)
    state.take_publication(Published(trunk=COMMIT, branch="b", progress=1, progress_at=NOW), NOW)
    return state


def look(state: RunState, number: int, progress: int = 1, progress_at: float = NOW) -> None:
    published = Published(trunk=COMMIT, branch="b", progress=progress, progress_at=progress_at)
    state.take_publication(published, NOW + number * EVERY_S)


def test_half_an_hour_without_progress_is_shown() -> None:
    state = begun()
    for number in range(1, LOOKS):
        look(state, number)
        assert status(state)["stalled"] is False
    look(state, LOOKS)
    assert status(state)["stalled"] is True
    assert any("stalled: no model call, landing or handoff for 30 active minutes" in note for note in notes(state))


def test_progress_ends_it() -> None:
    state = begun()
    for number in range(1, LOOKS + 2):
        look(state, number)
    look(state, LOOKS + 2, progress=2, progress_at=NOW + (LOOKS + 2) * EVERY_S - 5)
    assert (state.stalled, state.quiet.seconds) == (False, 5)


@pytest.mark.parametrize("step_s", STEPS)
def test_a_machine_whose_clock_stepped_makes_progress_all_the_same(step_s: float) -> None:
    """Its clock was ahead, or behind, and is right again; or it is from then on."""
    state = begun()
    for wrong_first in (True, False):
        state.quiet = Stall()
        for number in range(1, 4 * LOOKS):
            wrong = (number <= LOOKS) is wrong_first
            look(state, number, progress=number, progress_at=NOW + number * EVERY_S - 5 + (step_s if wrong else 0))
            assert not state.stalled
            assert state.quiet.seconds <= EVERY_S


@pytest.mark.parametrize("step_s", STEPS)
def test_nor_does_a_step_hide_that_nothing_is_achieved(step_s: float) -> None:
    state = begun()
    look(state, 1, progress=2, progress_at=NOW + step_s)
    for number in range(2, LOOKS + 2):
        look(state, number, progress=2, progress_at=NOW + step_s)
    assert state.stalled


def test_a_pause_is_no_quiet_time() -> None:
    state = begun()
    state.take_order(Pause(request="r", target=AgentId(RUN), who="me", why="lunch"), NOW)
    for number in range(1, 3 * LOOKS):
        look(state, number)
    assert (state.stalled, state.quiet.seconds) == (False, 0)


def test_a_fleet_that_waits_for_its_model_is_parked_and_not_stalled() -> None:
    state = begun()
    state.apply(
        ModelOutage(endpoint="e", model="m", generation=1, parked=True, since=NOW, until=NOW + 900, why="429"), NOW
    )
    for number in range(1, 3 * LOOKS):
        look(state, number)
    assert not state.stalled
