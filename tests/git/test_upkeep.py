"""Upkeep packs what landings leave, deletes no object, stands in nobody's way, and may be killed at any moment."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headway.git import maintenance
from headway.git.landing.landing import Landed
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.ledger import LandingLedger, MaintenanceNote
from tests.git.ground import Ground, git, write
from tests.support.waiting import wait_until


def _land(ground: Ground, number: int) -> None:
    workspace = ground.open(number)
    write(workspace.path, {f"own/{number}.txt": f"{number}\n"})
    assert isinstance(ground.land(workspace), Landed)


def _objects(ground: Ground) -> set[str]:
    told = git(ground.hub.folder, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return set(told.split())


def _unreachable(ground: Ground) -> str:
    said = ground.hub.repo.run("hash-object", "-w", "--stdin", stdin=os.urandom(20))
    return said.text


def _packs(ground: Ground) -> list[Path]:
    return list((ground.hub.folder / "objects/pack").glob("*.pack"))


def test_packs_become_few_and_no_object_goes(ground: Ground) -> None:
    for number in range(6):
        _land(ground, number)
    lonely = _unreachable(ground)
    before, packs = _objects(ground), len(_packs(ground))
    assert lonely in before
    assert maintenance.tidy(ground.hub.folder)
    assert _objects(ground) == before
    assert len(_packs(ground)) < packs
    assert git(ground.hub.folder, "count-objects") == "0 objects, 0 kilobytes"
    assert list((ground.hub.folder / "objects/info/commit-graphs").glob("*.graph"))
    # What nobody refers to stays for ever: also when it was packed and is packed again.
    _land(ground, 7)
    maintenance.tidy(ground.hub.folder)
    assert before <= _objects(ground)
    _land(ground, 8)
    ground.check_whole()


def test_who_writes_an_object_meanwhile_does_not_lose_the_folder_under_it(ground: Ground) -> None:
    _land(ground, 1)
    maintenance.tidy(ground.hub.folder)
    folders = {place.name for place in (ground.hub.folder / "objects").iterdir()}
    assert {f"{number:02x}" for number in range(256)} <= folders
    ground.check_whole()
    assert "garbage" not in git(ground.hub.folder, "fsck", "--full")


def test_nobody_waits_for_it_and_it_waits_for_nobody(ground: Ground) -> None:
    _land(ground, 1)
    trunk = TrunkLock(ground.hub.folder / "land.flock")
    while not trunk.take():
        time.sleep(0.01)
    assert maintenance.tidy(ground.hub.folder)
    trunk.release()
    handle = os.open(ground.hub.folder / "upkeep.flock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert not maintenance.tidy(ground.hub.folder)
    _land(ground, 2)
    os.close(handle)


def test_a_kill_at_any_moment_costs_nothing(ground: Ground) -> None:
    dice = random.Random(3)
    command = [sys.executable, "-m", "headway.git.maintenance", str(ground.hub.folder)]
    for number in range(6):
        _land(ground, number)
        _unreachable(ground)
        before = _objects(ground)
        with subprocess.Popen(command, start_new_session=True) as process:
            time.sleep(dice.uniform(0.2, 0.7))
            os.killpg(process.pid, signal.SIGKILL)
        assert before <= _objects(ground)
        ground.check_whole()
    for left in (ground.hub.folder / "objects/pack").glob("*tmp*"):
        os.utime(left, (0, 0))
    assert maintenance.tidy(ground.hub.folder)
    assert not list((ground.hub.folder / "objects/pack").glob("*tmp*"))


def test_many_refs_are_packed_and_the_trunk_still_moves(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_LOOSE_REFS", 3)
    _land(ground, 1)
    for number in range(5):
        git(ground.hub.folder, "update-ref", f"refs/headway/wip/{number}", ground.facts.base)
    maintenance.tidy(ground.hub.folder)
    assert not (ground.hub.folder / "refs/heads/main").exists()
    assert ground.hub.tip() == git(ground.hub.folder, "rev-parse", "refs/heads/main")
    _land(ground, 2)
    assert ground.landings() == 2


def test_it_is_due_after_many_landings_or_a_long_time_and_then_not_again(ground: Ground) -> None:
    _land(ground, 1)
    ledger = LandingLedger(ground.hub.folder, ground.facts.base)
    assert not maintenance.due(ledger)
    now = time.time()
    ledger.note_maintenance(MaintenanceNote(1 - maintenance.LANDINGS, now))
    assert not maintenance.due(ledger)
    ledger.note_maintenance(MaintenanceNote(1 - maintenance.LANDINGS, now - maintenance.SHORTEST_S))
    assert maintenance.due(ledger)
    assert not maintenance.due(ledger)
    ledger.note_maintenance(MaintenanceNote(0, now - maintenance.LONGEST_S))
    assert maintenance.due(ledger)
    ledger.note_maintenance(MaintenanceNote(1, now - maintenance.LONGEST_S))
    assert not maintenance.due(ledger)
    # The clock was a year ahead when it was noted.
    ledger.note_maintenance(MaintenanceNote(0, now + 31_536_000))
    assert maintenance.due(ledger)
    ledger.close()


def test_a_pack_that_is_being_written_stays_although_the_clock_says_that_it_is_old(ground: Ground) -> None:
    packs = ground.hub.folder / "objects/pack"
    left, written = packs / "tmp_pack_left", packs / "tmp_pack_written"
    left.touch()
    with written.open("wb"):
        for each in (left, written):
            os.utime(each, (1, 1))
        maintenance.tidy(ground.hub.folder)
        assert (left.exists(), written.exists()) == (False, True)
    maintenance.tidy(ground.hub.folder)
    assert not written.exists()


def test_whoever_lands_starts_it(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "LANDINGS", 1)
    monkeypatch.setattr(maintenance, "SHORTEST_S", 0.0)
    _land(ground, 1)
    graphs = ground.hub.folder / "objects/info/commit-graphs"
    # Its git has the lowest priority: on a busy machine it takes minutes.
    wait_until(lambda: bool(list(graphs.glob("*.graph"))), 240)
    for process in maintenance._running:
        assert process.wait(60) == 0
