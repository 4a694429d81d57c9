"""What waits for the trunk lands together, whoever's turn it is, and a holder that dies or stops costs nothing."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from headway.domain.errors import LeaseLost, TransientError
from headway.domain.ids import Oid
from headway.git import refs
from headway.git.git_environment import hermetic_environment
from headway.git.hub import TRUNK
from headway.git.landing import group_commit
from headway.git.landing.landing import Landed, Landing
from headway.git.landing.merging import Conflict
from headway.git.landing.queue_files import QueueFiles, Verdict
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.objects import Reader
from tests.git.ground import (
    Ground,
    LandingThread,
    allowed,
    changed,
    git,
    in_a_process,
    queued,
    trunk_locked,
    write,
)
from tests.support.waiting import wait_until


def _killed(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def _die(*_args: object, **_more: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _all_landed_once(ground: Ground, landings: list[LandingThread]) -> None:
    commits = [answer.commit for each in landings if isinstance(answer := each.answer(), Landed)]
    assert len(commits) == len(landings), [each.result for each in landings]
    assert sorted(commits) == sorted(landed.oid for landed in ground.hub.landed(ground.facts.base))
    ground.check_whole()


def test_all_that_waits_lands_in_one_pack_and_in_the_order_in_which_it_came(ground: Ground) -> None:
    workspaces = [changed(ground, number) for number in range(6)]
    packs = set((ground.hub.folder / "objects/pack").glob("*.pack"))
    landings = []
    with trunk_locked(ground):
        for number, workspace in enumerate(workspaces):
            landings.append(LandingThread(ground, workspace))
            wait_until(lambda n=number: len(queued(ground)) == n + 1)  # type: ignore[misc]
    _all_landed_once(ground, landings)
    assert [landed.task for landed in ground.hub.landed(ground.facts.base)] == [w.task for w in workspaces]
    assert len(set((ground.hub.folder / "objects/pack").glob("*.pack")) - packs) == 1
    assert not queued(ground)


def test_who_came_first_does_not_starve_behind_a_full_batch(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST", 2)
    workspaces = [changed(ground, number) for number in range(5)]
    landings = []
    with trunk_locked(ground):
        for number, workspace in enumerate(workspaces):
            landings.append(LandingThread(ground, workspace))
            wait_until(lambda n=number: len(queued(ground)) == n + 1)  # type: ignore[misc]
    _all_landed_once(ground, landings)
    assert [landed.task for landed in ground.hub.landed(ground.facts.base)] == [w.task for w in workspaces]


def test_a_conflict_a_lost_lease_and_an_error_are_their_own_submitters_only(ground: Ground) -> None:
    workspaces = [changed(ground, number) for number in range(5)]
    for number in (0, 1):
        write(workspaces[number].path, {"README.md": f"{number}\n"})
    reasons = [None, None, LeaseLost("a newer holder"), ValueError("a bug"), None]

    def check(reason: Exception | None) -> None:
        if reason is not None:
            raise reason

    with trunk_locked(ground):
        landings = [
            LandingThread(ground, workspace, lambda r=reason: check(r))  # type: ignore[misc]
            for workspace, reason in zip(workspaces, reasons, strict=True)
        ]
        wait_until(lambda: len(queued(ground)) == 5)
    kinds = [type(each.answer()).__name__ for each in landings]
    assert sorted(kinds[:2]) == ["Conflicted", "Landed"]
    assert kinds[2:] == ["LeaseLost", "ValueError", "Landed"]
    assert ground.landings() == 2


def test_one_process_lands_for_another(ground: Ground) -> None:
    theirs, ours = changed(ground, 1), changed(ground, 2)
    with trunk_locked(ground):
        asked = ground.ask(theirs)

        def land() -> None:
            # Whoever carries would land it; this process never gets the lock.
            setattr(TrunkLock, "take", lambda _self: False)  # noqa: B010
            outcome = ground.landing.land(theirs, asked, allowed)
            os._exit(0 if isinstance(outcome, Landed) else 1)

        pid = in_a_process(land)
        wait_until(lambda: len(queued(ground)) == 1)
        mine = LandingThread(ground, ours)
        wait_until(lambda: len(queued(ground)) == 2)
    assert isinstance(mine.answer(), Landed)
    assert os.waitpid(pid, 0)[1] == 0
    assert ground.landings() == 2


@pytest.mark.parametrize("held", [True, False])
def test_the_lease_of_another_process_is_seen_by_its_fence(ground: Ground, held: bool) -> None:
    theirs, ours = changed(ground, 1), changed(ground, 2)
    asked = ground.ask(theirs, fence="theirs")
    seen: list[str] = []

    def fenced(fence: str) -> bool:
        seen.append(fence)
        return held

    with trunk_locked(ground):

        def land() -> None:
            setattr(TrunkLock, "take", lambda _self: False)  # noqa: B010
            try:
                os._exit(isinstance(ground.landing.land(theirs, asked, allowed), Landed))
            except LeaseLost:
                os._exit(0)

        pid = in_a_process(land)
        wait_until(lambda: len(queued(ground)) == 1)
        ground.landing = Landing(ground.hub, fenced)
        mine = LandingThread(ground, ours)
        wait_until(lambda: len(queued(ground)) == 2)
    assert isinstance(mine.answer(), Landed)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == held
    # Once when it is its turn, and once more in front of the move.
    assert seen == ["theirs"] * (1 + held)
    assert ground.landings() == 1 + held


def test_what_a_dead_process_left_in_the_queue_does_not_land(ground: Ground) -> None:
    theirs, ours = changed(ground, 1), changed(ground, 2)
    with trunk_locked(ground):
        pid = in_a_process(lambda: ground.land(theirs))
        wait_until(lambda: len(queued(ground)) == 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert isinstance(ground.land(ours), Landed)
    assert ground.landings() == 1
    assert not queued(ground)
    assert len(QueueFiles(ground.hub.folder).clients()) == 1
    assert isinstance(ground.land(ground.open(1, lease=2)), Landed)


def test_a_submission_that_waits_twice_lands_once(ground: Ground) -> None:
    workspace = changed(ground, 1)
    with trunk_locked(ground):
        first = LandingThread(ground, workspace)
        wait_until(lambda: len(queued(ground)) == 1)
        (place,) = queued(ground)
        boot, _, ticket = place.name.split("-", 2)
        place.with_name(f"{boot}-{time.monotonic_ns():020}-{ticket}").write_bytes(place.read_bytes())
    _all_landed_once(ground, [first])


@pytest.mark.parametrize("moment", ["LandingLedger.add", "QueueFiles.answer", "QueueFiles.withdraw"])
def test_a_holder_that_dies_after_the_trunk_moved_leaves_nobody_without_an_answer(ground: Ground, moment: str) -> None:
    theirs, ours = changed(ground, 1), changed(ground, 2)
    with trunk_locked(ground):
        mine = LandingThread(ground, ours)
        wait_until(lambda: len(queued(ground)) == 1)

        def land() -> None:
            room, _, name = moment.partition(".")
            setattr(getattr(group_commit, room), name, _die)
            ground.land(theirs)

        pid = in_a_process(land)
        wait_until(lambda: len(queued(ground)) == 2)
        died = threading.Thread(target=lambda: _killed(pid))
        died.start()
    assert isinstance(mine.answer(), Landed)
    died.join(60)
    ours_landed = [landed.task for landed in ground.hub.landed(ground.facts.base)].count(ours.task)
    assert ours_landed == 1
    outcome = ground.land(ground.open(1, lease=2))
    assert type(outcome).__name__ in ("Landed", "NothingToLand")
    assert ground.landings() == 2
    ground.check_whole()


def test_a_lock_file_that_a_dead_holder_left_goes_at_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = changed(ground, 1), changed(ground, 2)

    def land() -> None:
        setattr(refs, "read_ref", _die)  # noqa: B010
        ground.land(theirs)

    assert _killed(in_a_process(land))
    lock = ground.hub.folder / f"{TRUNK}.lock"
    assert lock.exists()

    def wait(path: Path) -> None:
        raise AssertionError(f"waited for {path}")

    monkeypatch.setattr(refs, "_clear_stale_lock", wait)
    assert isinstance(ground.land(ours), Landed)
    assert not lock.exists()


@pytest.mark.parametrize("step", [0, 3600, -3600])
def test_the_lock_file_of_a_living_git_is_not_taken_away(
    ground: Ground, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the clock was set by so many seconds since it was made."""
    monkeypatch.setattr(refs, "_STALE_S", 0.5)
    workspace = changed(ground, 1)
    told = f"start\nupdate {TRUNK} {ground.facts.base} {ground.facts.base}\nprepare\n"
    env = hermetic_environment() | {"GIT_DIR": str(ground.hub.folder)}
    with subprocess.Popen(["git", "update-ref", "--stdin"], stdin=subprocess.PIPE, env=env) as human:
        assert human.stdin is not None
        human.stdin.write(told.encode())
        human.stdin.flush()
        lock = ground.hub.folder / f"{TRUNK}.lock"
        wait_until(lock.exists)
        os.utime(lock, (time.time() - step, time.time() - step))
        with pytest.raises(TransientError, match=str(human.pid)):
            ground.land(workspace)
        assert lock.exists()
        human.kill()
    assert isinstance(ground.land(workspace), Landed)
    assert not lock.exists()
    assert ground.landings() == 1


def test_a_git_that_only_reads_or_came_later_does_not_keep_a_dead_ones_lock(ground: Ground) -> None:
    reader = Reader(ground.hub.repo, {})
    reader.read(ground.facts.base)
    lock = ground.hub.folder / f"{TRUNK}.lock"
    lock.write_text("0" * 40 + "\n")
    env = hermetic_environment() | {"GIT_DIR": str(ground.hub.folder)}
    landing = LandingThread(ground, changed(ground, 1))
    wait_until(lambda: lock in refs._sights)
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))  # a start is known to a tick
    with subprocess.Popen(["git", "update-ref", "--stdin"], stdin=subprocess.PIPE, env=env) as later:
        assert isinstance(landing.answer(), Landed)
        later.kill()
    assert not lock.exists()
    reader.close()


def test_a_full_disk_leaves_the_trunk_and_no_debris(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = changed(ground, 1)
    fsync = os.fsync

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="No space left"):
        ground.land(workspace)
    monkeypatch.setattr(os, "fsync", fsync)
    assert ground.hub.tip() == ground.facts.base
    assert not list((ground.hub.folder / "objects/pack").glob("tmp_*"))
    assert not (ground.hub.folder / f"{TRUNK}.lock").exists()
    assert not queued(ground)
    assert isinstance(ground.land(workspace), Landed)
    ground.check_whole()


def test_a_trunk_that_somebody_moves_meanwhile_is_folded_on_anew(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = changed(ground, 1)
    tree = f"{ground.facts.base}^{{tree}}"
    by_hand = Oid(git(ground.hub.folder, "commit-tree", "-p", ground.facts.base, "-m", "By hand", tree))
    swap = refs.swap
    moved: list[bool] = []

    def late(*args: object, **more: object) -> bool:
        if not moved:
            git(ground.hub.folder, "update-ref", TRUNK, by_hand)
        moved.append(swap(*args, **more))  # type: ignore[arg-type]
        return moved[-1]

    monkeypatch.setattr(group_commit, "swap", late)
    outcome = ground.land(workspace)
    assert isinstance(outcome, Landed)
    assert moved == [False, True]
    assert git(ground.hub.folder, "rev-parse", f"{outcome.commit}^") == by_hand


def test_a_hub_that_was_removed_and_made_again_is_a_new_one(source: Path, tmp_path: Path) -> None:
    for _ in range(2):
        ground = Ground.prepare(tmp_path / "again", source, "clone")
        assert isinstance(ground.land(changed(ground, 1)), Landed)
        assert ground.landings() == 1
        shutil.rmtree(tmp_path / "again")


def test_a_verdict_survives_its_file(ground: Ground) -> None:
    spool = QueueFiles(ground.hub.folder)
    client = spool.enter()
    base = ground.facts.base
    said = Verdict("conflicted", base, tree=base, conflicts=(Conflict("\udcff.txt", "contents"),))
    spool.answer(client.name, {"1": said})
    assert list(client.collect()) == [("1", said)]
    assert list(client.collect()) == []
