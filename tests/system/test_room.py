"""Room that is taken ahead is there when the disk is full, and comes back."""

import os
from pathlib import Path

import pytest

from headway.domain.errors import Shortage
from headway.domain.ids import AgentId, RunName
from headway.eventlog.events.conversation import Text
from headway.eventlog.local_store import LocalStore
from tests.support.disks import Disk, fill
from tests.support.events import call, reply

AGENT = AgentId("demo/root-0a1b2c3d")
LONG = "a reply that was paid " * 2_000


# Not btrfs: it never writes into a block that holds something already, and the end of a log is in the middle of one.
@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs"])
def test_a_reply_fits_into_its_log_on_a_full_disk_without_inodes(tmp_path: Path, kind: str) -> None:
    with Disk(tmp_path, kind) as disk:
        store = LocalStore(disk.at)
        with store.open(AGENT, role="planner") as log:
            log.append(Text(text="first"), sync=True)
            log.reserve(200_000)
            fill(disk.at)
            written = log.append(reply(LONG, call(LONG)), sync=True)
            with pytest.raises(Shortage):
                log.reserve(2_000_000)
        assert store.read(AGENT)[-1] == written
        assert not list(store.run_folder(RunName("demo")).glob("blobs/*/*"))


def test_room_is_taken_again_after_a_newer_holder_died_in_its_first_line(tmp_path: Path) -> None:
    with Disk(tmp_path, "ext4") as disk:
        store = LocalStore(disk.at)
        with store.open(AGENT, role="planner") as log:
            log.reserve(200_000)
            with next(disk.at.rglob("*.jsonl")).open("ab") as newer:
                newer.write(b'{"v": 1, ')
            log.append(Text(text="the request"), sync=True)  # cuts what the newer one left
            log.reserve(200_000)
            fill(disk.at)
            log.append(reply(LONG), sync=True)
        assert [event.type for event in store.read(AGENT)] == ["text", "llm.response"]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs", "btrfs"])
def test_room_comes_back_when_the_log_is_closed_or_its_holder_was_killed(tmp_path: Path, kind: str) -> None:
    with Disk(tmp_path, kind) as disk:
        store = LocalStore(disk.at)
        log = store.open(AGENT, role="planner")
        log.reserve(5_000_000)
        path = next(disk.at.rglob("*.jsonl"))
        os.sync()
        assert path.stat().st_blocks * 512 >= 5_000_000
        log.close()
        assert path.stat().st_blocks * 512 < 200_000
        log = store.open(AGENT, role="planner")
        log.reserve(5_000_000)
        os.close(log._fd)  # as a kill leaves it
        log._fd = -1
        with store.open(AGENT, role="planner") as log:
            assert path.stat().st_blocks * 512 < 200_000
            log.append(Text(text="after"), sync=True)
        assert [event.type for event in store.all_events(AGENT)] == ["agent.lease"] * 3 + ["text"]


def test_an_older_holder_that_closes_cuts_nothing_of_a_newer_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    old = store.open(AGENT, role="planner")
    old.reserve(100_000)
    with store.open(AGENT, role="planner") as new:
        new.append(Text(text="newer"), sync=True)
        old.close()
        assert [event.type for event in store.read(AGENT)] == ["text"]


def test_a_sync_that_failed_writes_again_what_the_kernel_takes_for_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    log = store.open(AGENT, role="planner")
    real, written = os.pwrite, bytearray()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(Shortage, match="input/output error"):
            log.append(Text(text="doubtful"), sync=True)

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        written.extend(data)
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    log.sync()
    assert written.count(b"doubtful") == 1
    log.sync()
    assert written.count(b"doubtful") == 1
    assert [event.type for event in store.read(AGENT)] == ["text"]
    log.close()
