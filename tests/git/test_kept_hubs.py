"""A process that lands for many runs stays connected to a few hubs only, and never leaves one in the middle."""

from pathlib import Path

from headway.git.landing import landing_queue
from headway.git.landing.landing import Landed
from headway.git.landing.queue_files import QueueFiles
from tests.git.ground import Ground, LandingThread, changed, held, trunk_locked
from tests.support.waiting import wait_until


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _grounds(tmp_path: Path, source: Path, number: int) -> list[Ground]:
    return [Ground.prepare(tmp_path / f"state-{each}", source, "clone") for each in range(number)]


def test_descriptors_are_bounded_however_many_hubs_it_lands_on(tmp_path: Path, source: Path) -> None:
    landing_queue._turns.close()
    before, counts = _descriptors(), []
    grounds = _grounds(tmp_path, source, landing_queue.HUBS_KEPT + 4)
    for number, ground in enumerate(grounds):
        assert isinstance(ground.land(changed(ground, number)), Landed)
        counts.append(_descriptors() - before)
    assert counts[landing_queue.HUBS_KEPT - 1 :] == counts[-1:] * 5, counts
    left = [ground for ground in grounds if QueueFiles(ground.hub.folder).clients()]
    assert left == grounds[4:], "whose connection is closed leaves nothing in its hub"
    assert isinstance(grounds[0].land(changed(grounds[0], 100)), Landed)
    assert _descriptors() - before == counts[-1]
    landing_queue._turns.close()
    assert _descriptors() == before


def test_a_landing_that_waits_keeps_its_connection(tmp_path: Path, source: Path) -> None:
    first, *others = _grounds(tmp_path, source, landing_queue.HUBS_KEPT + 3)
    workspace = changed(first, 0)
    with trunk_locked(first):
        waiting = LandingThread(first, workspace)
        wait_until(lambda: bool(list((first.hub.folder / "landing/queue").glob("[!.]*"))))
        for number, ground in enumerate(others):
            assert isinstance(ground.land(changed(ground, number)), Landed)
    assert isinstance(waiting.answer(), Landed)


def test_a_hub_in_the_place_of_another_gets_a_connection_of_its_own(tmp_path: Path, source: Path) -> None:
    ground = Ground.prepare(tmp_path / "state", source, "clone")
    assert isinstance(ground.land(changed(ground, 0)), Landed)
    with landing_queue.queue_of(ground.hub, held) as old:
        (tmp_path / "state").rename(tmp_path / "removed")
        again = Ground.prepare(tmp_path / "state", source, "clone")
        assert isinstance(again.land(changed(again, 1)), Landed)
        with landing_queue.queue_of(again.hub, held) as new:
            assert new is not old
