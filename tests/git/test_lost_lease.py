"""A lease that is lost before the trunk moves lands nothing, whoever carries and however late it is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import LeaseLost
from headway.domain.ids import Fence
from headway.git import refs
from headway.git.landing import group_commit
from headway.git.landing.landing import Landed, Landing, Submission
from headway.git.landing.pack import Pack
from headway.git.landing.queue_files import QueueFiles
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.ledger import LandingLedger
from tests.git.ground import Ground, allowed, in_a_process, trunk_locked, write
from tests.support.waiting import wait_until

BEFORE = [
    "QueueFiles.put",
    "QueueFiles.read",
    "group_commit.commit_text",
    "Pack.write",
    "group_commit.swap",
    "refs.read_ref",
]
AFTER = ["LandingLedger.add", "QueueFiles.withdraw"]
_ROOMS: dict[str, object] = {
    "QueueFiles": QueueFiles,
    "Pack": Pack,
    "LandingLedger": LandingLedger,
    "group_commit": group_commit,
    "refs": refs,
}


class _Lease:
    """A lease that all processes see; it is lost when this process comes to `moment`."""

    def __init__(self, note: Path) -> None:
        self.note = note

    def check(self) -> None:
        if self.note.exists():
            raise LeaseLost("a newer holder works")

    def holds(self, fence: Fence) -> bool:
        return fence != "theirs" or not self.note.exists()

    def lose_at(self, moment: str, monkeypatch: pytest.MonkeyPatch, *, last: bool) -> None:
        room, _, name = moment.partition(".")
        real: Callable[..., object] = getattr(_ROOMS[room], name)

        def losing(*args: object, **more: object) -> object:
            done = real(*args, **more) if last else None
            self.note.touch()
            return done if last else real(*args, **more)

        monkeypatch.setattr(_ROOMS[room], name, losing)


@pytest.mark.parametrize("last", [False, True], ids=["in front of", "behind"])
@pytest.mark.parametrize("moment", [*BEFORE, *AFTER])
def test_a_lease_of_ones_own_lost_at_any_step(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, *, last: bool
) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    lease = _Lease(tmp_path / "lost")
    lease.lose_at(moment, monkeypatch, last=last)
    if moment in BEFORE and (moment, last) != ("group_commit.swap", True):
        with pytest.raises(LeaseLost):
            ground.land(workspace, check=lease.check)
        assert ground.landings() == 0
    else:
        # What is on the trunk is told, or found again by the next holder.
        assert isinstance(ground.land(workspace, check=lease.check), Landed)
        assert ground.landings() == 1


@pytest.mark.parametrize("moment", [*BEFORE[1:], *AFTER])
def test_a_lease_of_another_process_lost_at_any_step(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    theirs, ours = ground.open(1), ground.open(2)
    write(theirs.path, {"theirs.txt": "theirs\n"})
    write(ours.path, {"ours.txt": "ours\n"})
    lease = _Lease(tmp_path / "lost")
    ground.landing = Landing(ground.hub, lease.holds)
    asked = ground.ask(theirs, fence="theirs")
    queue = ground.hub.folder / "landing/queue"

    def land() -> None:
        setattr(TrunkLock, "take", lambda _self: False)  # noqa: B010
        try:
            os._exit(10 if isinstance(ground.landing.land(theirs, asked, allowed), Landed) else 11)
        except LeaseLost:
            os._exit(12)

    with trunk_locked(ground):
        pid = in_a_process(land)
        wait_until(lambda: queue.is_dir() and len(list(queue.glob("[!.]*"))) == 1)
    lease.lose_at(moment, monkeypatch, last=False)
    assert isinstance(ground.land(ours), Landed)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lost = moment in BEFORE
    assert code == (12 if lost else 10)
    assert ground.landings() == (1 if lost else 2)


def test_a_landing_needs_a_fence(ground: Ground) -> None:
    workspace = ground.open()
    with pytest.raises(TypeError, match="fence"):
        Submission("Change", "A <a@b.c>", ground.ask(workspace).run, workspace.task, (), "x:1")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="fence"):
        ground.ask(workspace, fence="")
