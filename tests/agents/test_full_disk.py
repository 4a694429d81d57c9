"""A full disk costs time. Nothing is asked of a model that could not be kept, and a paid reply is not thrown away."""

import os
from pathlib import Path

import pytest

from headway.domain.errors import Shortage
from headway.domain.messages import WorkerDone
from headway.editing.files import Files
from tests.agents.stage import Stage, finish, step, use
from tests.support.disks import Disk, fill

LONG = step(use("write_file", path="long.txt", content="x\n" * 20_000), text="y" * 20_000)


def _paid(stage: Stage) -> int:
    return sum(rehearsal.requests for rehearsal in stage.rehearsals)


@pytest.mark.parametrize("leave", [0, 40_000])
async def test_nothing_is_bought_that_could_not_be_kept(tmp_path: Path, leave: int) -> None:
    with Disk(tmp_path, "tmpfs", mb=48) as disk:
        stage = Stage(disk.at)
        stage.serve(tasks={"Write a file": [LONG, step(use("land", message="Add it")), finish()]})
        order = stage.task()
        stage.places.open(order.me, 1, 0)  # made while there is room, as that of an agent at work is
        ballast = fill(disk.at, leave=leave)
        for _ in range(3):
            with pytest.raises(Shortage, match="full, or has no inodes left") as raised:
                await stage.work(order)
            assert raised.value.delay_s
        assert _paid(stage) == 0
        (ballast / "blocks").unlink()
        for left in ballast.iterdir():
            left.unlink()
        done, _ = await stage.done(order)
        replies = [event for event in stage.log(order.me) if event.type == "llm.response"]
        assert (done.status, _paid(stage), len(replies)) == ("done", 3, 3)
        await stage.close()


async def test_a_reply_that_was_paid_waits_in_memory_for_a_disk_that_broke_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    stage.serve(tasks={"Write a file": [LONG, step(use("land", message="Add it")), finish()]})
    order = stage.task()
    real_write, real_sync, broken = os.write, os.fsync, ["write", "sync"]

    def write(descriptor: int, data: bytes) -> int:
        if "write" in broken and b'"llm.response"' in bytes(data[:2_000]):
            broken.remove("write")
            raise OSError(5, "Input/output error")
        return real_write(descriptor, data)

    def fsync(descriptor: int) -> None:
        said = [event.type for event in stage.log(order.me)]
        if "sync" in broken and "llm.response" in said:
            broken.remove("sync")
            raise OSError(5, "Input/output error")
        real_sync(descriptor)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    outcome = await stage.work(order)
    replies = [event for event in stage.log(order.me) if event.type == "llm.response"]
    assert isinstance(outcome, WorkerDone)
    assert broken == []
    assert (_paid(stage), len(replies)) == (3, 3)
    assert [progress for progress in stage.beats if "holds a paid reply" in progress] != []
    await stage.close()


async def test_a_call_that_waited_for_the_disk_more_than_once_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    stage.serve(tasks={"Write a file": [LONG, step(use("land", message="Add it")), finish()]})
    order, real, short = stage.task(), Files.write, [1, 2, 3, 4]

    def write(self: Files, path: str, content: bytes) -> bool:
        if short:
            short.pop()
            raise Shortage("the disk is full", 30.0)
        return real(self, path, content)

    monkeypatch.setattr(Files, "write", write)
    for _ in range(4):
        with pytest.raises(Shortage):
            await stage.work(order)
    done, _ = await stage.done(order)
    assert done.status == "done"
    assert stage.on_trunk("long.txt") == "x\n" * 20_000
    assert not [text for text in stage.texts(order.me, "tool.result") if "not made again" in text]
    await stage.close()
