"""What nobody can read, and what breaks for one submission, is that one's affair; the queue goes on and stays short."""

import os
from pathlib import Path

import pytest

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.git.landing import group_commit
from headway.git.landing.commit_text import commit_text
from headway.git.landing.landing import Landed, LandingBroken
from headway.git.landing.queue_files import QueueFiles
from headway.git.landing.trunk_lock import TrunkLock
from tests.git.ground import (
    Ground,
    LandingThread,
    allowed,
    changed,
    in_a_process,
    queued,
    trunk_locked,
)
from tests.support.waiting import wait_until


def _place(ground: Ground, client: str, number: int) -> Path:
    return ground.hub.folder / f"landing/queue/{'0' * 8}-{number:020}-{client}-{number}"


class TestATornQueue:
    """Files that nobody can read never hold anybody up, whoever wrote them, and go."""

    def test_those_of_dead_processes_go_and_count_for_nothing(self, ground: Ground) -> None:
        spool = QueueFiles(ground.hub.folder)
        for number, content in enumerate((b"", b"{", b"[]", b"{}\n", b'"x"\n', b"\xff\0", b'{"changes": 7}\n') * 20):
            _place(ground, "1-0123456789ab", number).write_bytes(content)
        (ground.hub.folder / "landing/queue/a-name-of-another-kind").write_text("x")
        (ground.hub.folder / "landing/queue/.half.1.ab").write_text("x")
        landing = LandingThread(ground, changed(ground, 1))
        assert isinstance(landing.answer(), Landed)
        assert list((ground.hub.folder / "landing/queue").iterdir()) == []
        assert spool.waiting() == []

    @pytest.mark.parametrize("mine", [True, False])
    def test_one_of_a_living_process_is_told_to_it(self, ground: Ground, mine: bool) -> None:
        theirs, ours = changed(ground, 1), changed(ground, 2)
        asked = ground.ask(theirs)

        def land() -> None:
            if not mine:
                setattr(TrunkLock, "take", lambda _self: False)  # noqa: B010
            try:
                ground.landing.land(theirs, asked, allowed)
            except TransientError as error:
                os._exit(10 if "torn" in str(error) else 11)

        with trunk_locked(ground):
            pid = in_a_process(land)
            wait_until(lambda: len(queued(ground)) == 1)
            queued(ground)[0].write_bytes(b'{"ticket": ')
            other = LandingThread(ground, ours)
            wait_until(lambda: len(queued(ground)) == 2)
        assert isinstance(other.answer(), Landed)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 10
        assert not queued(ground)

    def test_one_that_cannot_be_read_now_stays_for_its_own_process_to_tell(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow, other = changed(ground, 1), changed(ground, 2)
        read = QueueFiles.read
        broken: list[Path] = []

        def broken_read(self: QueueFiles, place: Path) -> object:
            if place in broken:
                raise OSError(5, "Input/output error")
            return read(self, place)

        monkeypatch.setattr(QueueFiles, "read", broken_read)
        with trunk_locked(ground):
            landings = [LandingThread(ground, slow)]
            wait_until(lambda: len(queued(ground)) == 1)
            broken += queued(ground)
            landings.append(LandingThread(ground, other))
            wait_until(lambda: len(queued(ground)) == 2)
        answers = [each.answer() for each in landings]
        assert isinstance(answers[0], TransientError)
        assert isinstance(answers[1], Landed)

    def test_a_submission_that_is_gone_without_an_answer_is_not_waited_for(self, ground: Ground) -> None:
        with trunk_locked(ground):
            landing = LandingThread(ground, changed(ground, 1))
            wait_until(lambda: len(queued(ground)) == 1)
            queued(ground)[0].unlink()
        assert isinstance(landing.answer(), TransientError)
        assert isinstance(ground.land(changed(ground, 2)), Landed)

    def test_what_an_earlier_boot_left_is_older_than_everything(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = QueueFiles(ground.hub.folder)
        with trunk_locked(ground):
            landing = LandingThread(ground, changed(ground, 1))
            wait_until(lambda: len(queued(ground)) == 1)
            (now,) = spool.waiting()
            before = now.with_name(f"ffffffff-{10**19:020}-1-0123456789ab-0")
            before.write_bytes(now.read_bytes())
            assert spool.waiting() == [before, now]
            monkeypatch.setattr("headway.git.landing.queue_files.boot_id", lambda: "another boot")
            assert QueueFiles(ground.hub.folder).waiting() == sorted([before, now])
        assert isinstance(landing.answer(), Landed)
        assert ground.landings() == 1

    def test_a_full_disk_leaves_nothing_in_the_queue(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        workspace = changed(ground, 1)
        replace = os.replace

        def full(made: str, to: str) -> None:
            if Path(made).parent.name == "queue":
                raise OSError(28, "No space left on device")
            replace(made, to)

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(TransientError, match="No space left"):
            ground.land(workspace)
        assert list((ground.hub.folder / "landing/queue").iterdir()) == []


@pytest.mark.parametrize("raised", [ValueError("a bug"), OSError(24, "Too many open files"), MemoryError()])
def test_an_unexpected_error_of_one_submission_is_told_to_it_and_to_nobody_else(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    workspaces = [changed(ground, number) for number in range(3)]

    def breaks(tree: Oid, parents: tuple[Oid, ...], author: str, message: str) -> bytes:
        if str(workspaces[0].task) in message:
            raise raised
        return commit_text(tree, parents, author, message)

    with monkeypatch.context() as broken:
        broken.setattr(group_commit, "commit_text", breaks)
        with trunk_locked(ground):
            landings = []
            for number, workspace in enumerate(workspaces):
                landings.append(LandingThread(ground, workspace))
                wait_until(lambda n=number: len(queued(ground)) == n + 1)  # type: ignore[misc]
        answers = [each.answer() for each in landings]
    assert isinstance(answers[0], LandingBroken if isinstance(raised, ValueError) else TransientError)
    assert type(raised).__name__ in str(answers[0])
    assert [type(answer) for answer in answers[1:]] == [Landed, Landed]
    assert not queued(ground)
    assert isinstance(ground.land(workspaces[0]), Landed)
    ground.check_whole()


def test_clients_that_are_gone_leave_nothing(ground: Ground) -> None:
    for number in range(4):
        pid = in_a_process(lambda n=number: ground.land(changed(ground, n)))  # type: ignore[misc]
        os.waitpid(pid, 0)
    (ground.hub.folder / "landing/answers/.999999999-0123456789ab").mkdir()
    assert isinstance(ground.land(changed(ground, 9)), Landed)
    assert len(list((ground.hub.folder / "landing/answers").iterdir())) == 1
