"""A run is stalled when nothing is achieved although its agents could work."""

from headway.domain.control import Pause
from headway.domain.ids import AgentId
from headway.domain.parking import Parking
from headway.domain.quiet import STALLED_S
from headway.domain.run import Published
from headway.domain.run_status import notes, status
from headway.domain.running import RunState
from tests.domain.builders import COMMIT, NOW, RUN, prepared

EVERY_S = 300.0
LOOKS = int(STALLED_S / EVERY_S)


def begun() -> RunState:
    state = RunState()
    state.begin(prepared(), NOW)
    state.take_publication(Published(trunk=COMMIT, branch="b", progress_at=NOW), NOW)
    return state


def look(state: RunState, number: int, progress_at: float = NOW) -> None:
    state.take_publication(Published(trunk=COMMIT, branch="b", progress_at=progress_at), NOW + number * EVERY_S)


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
    look(state, LOOKS + 2, progress_at=NOW + (LOOKS + 2) * EVERY_S - 5)
    assert (state.stalled, state.quiet.seconds) == (False, 5)


def test_a_pause_is_no_quiet_time() -> None:
    state = begun()
    state.book.pause(Pause(request="r", target=AgentId(RUN), who="me", why="lunch"), NOW)
    for number in range(1, 3 * LOOKS):
        look(state, number)
    assert (state.stalled, state.quiet.seconds) == (False, 0)


def test_a_fleet_that_waits_for_its_model_is_parked_and_not_stalled() -> None:
    state = begun()
    state.take_parking(
        Parking(endpoint="e", model="m", generation=1, parked=True, since=NOW, until=NOW + 900, why="429")
    )
    for number in range(1, 3 * LOOKS):
        look(state, number)
    assert not state.stalled
