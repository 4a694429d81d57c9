"""The ledger says who landed what, and its file may be lost, torn or behind: the trunk's trailers bring it back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from headway.domain.ids import Oid
from headway.git.hub import TRUNK
from headway.git.landing.landing import Landed
from headway.git.ledger import LandingLedger
from headway.git.repo import Repo
from tests.git.ground import Ground, git, task, write
from tests.git.test_many_landers import in_processes


def _land(ground: Ground, number: int, name: str) -> Oid:
    workspace = ground.open(number)
    write(workspace.path, {name: f"{name}\n"})
    outcome = ground.land(workspace)
    assert isinstance(outcome, Landed)
    return outcome.commit


def _lose(path: Path) -> None:
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()


def _tear(path: Path) -> None:
    _lose(path)
    path.write_bytes(b"\0" * 9000)


def _fall_behind(path: Path) -> None:
    with closing(LandingLedger(path.parent, Oid("0" * 40))) as ledger:
        ledger._db.execute("DELETE FROM landed WHERE number > 1")
        (first,) = ledger._db.execute("SELECT oid FROM landed").fetchone()
        ledger._db.execute("UPDATE fact SET value = ? WHERE name = 'tip'", (first,))


def test_the_landings_of_a_task_are_told_without_a_walk(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = [_land(ground, 1, "a"), _land(ground, 2, "b"), _land(ground, 1, "c")]
    run = Repo.run

    def watched(self: Repo, *args: str, **more: object) -> object:
        assert args[0] != "log", args
        return run(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Repo, "run", watched)
    assert ground.hub.landed_by(task(1)) == [commits[0], commits[2]]
    assert ground.hub.landed_by(task(2)) == [commits[1]]
    assert ground.hub.landed_by(task(3)) == []


@pytest.mark.parametrize("harm", [_lose, _fall_behind])
def test_what_the_file_lacks_is_read_from_the_trunk(ground: Ground, harm: Callable[[Path], None]) -> None:
    commits = [_land(ground, 1, "a"), _land(ground, 1, "b")]
    harm(ground.hub.folder / "landings.db")
    assert ground.hub.landed_by(task(1)) == commits
    commits.append(_land(ground, 1, "c"))
    assert ground.hub.landed_by(task(1)) == commits


def test_a_file_that_is_no_database_any_more_is_made_anew(ground: Ground) -> None:
    first = _land(ground, 1, "a")
    _tear(ground.hub.folder / "landings.db")
    assert ground.hub.landed_by(task(1)) == [first]

    def land(_: int) -> None:
        _land(ground, 1, "b")

    in_processes(1, land)
    assert ground.hub.landed_by(task(1)) == [first, ground.hub.tip()]
    with closing(LandingLedger(ground.hub.folder, ground.facts.base, reading=True)) as ledger:
        assert ledger.of_task(task(1)) == [first, ground.hub.tip()]


def test_a_trunk_that_was_set_back_by_hand_takes_its_landings_along(ground: Ground) -> None:
    first, _ = _land(ground, 1, "a"), _land(ground, 1, "b")
    git(ground.hub.folder, "update-ref", TRUNK, first)
    assert ground.hub.landed_by(task(1)) == [first]
    third = _land(ground, 1, "c")
    assert ground.hub.landed_by(task(1)) == [first, third]


def test_processes_that_land_first_at_the_same_time_all_get_in(tmp_path: Path) -> None:
    """SQLite asks no busy handler where two connections make a file's journal at once."""
    at_once = threading.Barrier(8)

    def opened(folder: Path) -> None:
        at_once.wait()
        LandingLedger(folder, Oid("0" * 40)).close()

    with ThreadPoolExecutor(8) as threads:
        for number in range(40):
            folder = tmp_path / str(number)
            folder.mkdir()
            list(threads.map(opened, [folder] * 8))
