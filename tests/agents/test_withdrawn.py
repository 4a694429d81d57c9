"""A command that had not begun when the machine ran short runs when the agent goes on; the model hears of nothing."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from headway.agents.loop import kept_reply
from headway.domain.errors import Shortage
from headway.editing.files import Files
from headway.sandbox.process.output import Capture
from headway.sandbox.process.running_command import RunningCommand
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command, CommandResult
from tests.agents.stage import Stage, finish, step, use
from tests.support.sandboxes import PlainSandbox


async def test_a_command_that_had_not_begun_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    calls = [step(use("shell", command="echo 1 >> ran.txt")), step(use("land", message="x")), finish()]
    stage.serve(tasks={"Write a file": calls})
    order, real, short = stage.task(), PlainSandbox.run, [1, 2]

    async def run(self: PlainSandbox, command: Command, *, full_output: Path | None = None) -> CommandResult:
        if short:
            short.pop()
            raise Shortage("the disk is full", 30.0)
        return await real(self, command, full_output=full_output)

    monkeypatch.setattr(PlainSandbox, "run", run)
    for _ in range(2):
        with pytest.raises(Shortage):
            await stage.work(order)
    done, _ = await stage.done(order)
    assert done.status == "done"
    assert stage.on_trunk("ran.txt") == "1\n"
    assert not [text for text in stage.texts(order.me, "tool.result") if "interrupted" in text]
    await stage.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EMFILE, errno.ENOSPC])
@pytest.mark.parametrize(
    "where", [(Files, "output_file"), (Capture, "__init__"), (Resources, "around"), (RunningCommand, "__init__")]
)
async def test_it_runs_later_wherever_the_machine_ran_short(
    where: tuple[type, str], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    calls = [step(use("shell", command="echo 1 >> ran.txt")), step(use("land", message="x")), finish()]
    stage.serve(tasks={"Write a file": calls})
    order = stage.task()

    def short(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(*where, short)
        with pytest.raises(Shortage):
            await stage.work(order)
    done, _ = await stage.done(order)
    assert done.status == "done"
    assert stage.on_trunk("ran.txt") == "1\n"
    assert not [text for text in stage.texts(order.me, "tool.result") if "interrupted" in text]
    await stage.close()


@pytest.mark.parametrize(
    ("note", "short"),
    [
        (b'"withdrawn":true', True),
        (b'"type":"tool.result"', False),
        (b'"type":"resource.kill"', False),
    ],
    ids=["withdrawn", "result", "kill"],
)
async def test_what_became_of_a_command_waits_in_memory_for_the_disk(
    note: bytes, short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_reply, "AGAIN_S", 0.01)
    stage = Stage(tmp_path)
    slow = use("shell", command="echo 1 >> ran.txt; sleep 5", timeout_s=1)
    calls = [step(slow), step(use("land", message="x")), finish(), finish()]
    stage.serve(tasks={"Write a file": calls})
    order, real, refused = stage.task(), os.write, [3]

    def write(descriptor: int, data: bytes) -> int:
        if refused[0] and note in bytes(data):
            refused[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    if short:
        with monkeypatch.context() as patched:
            patched.setattr(Files, "output_file", full)
            with pytest.raises(Shortage):
                await stage.work(order)
    done, _ = await stage.done(order)
    assert refused == [0]
    assert done.status == "done"
    assert stage.on_trunk("ran.txt") == "1\n"
    assert not [text for text in stage.texts(order.me, "tool.result") if "interrupted" in text]
    await stage.close()


async def test_one_that_may_have_begun_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    calls = [step(use("shell", command="echo 1 >> ran.txt")), finish(), finish()]
    stage.serve(tasks={"Write a file": calls})
    order, real = stage.task(), PlainSandbox.run

    async def run(self: PlainSandbox, command: Command, *, full_output: Path | None = None) -> CommandResult:
        await real(self, command, full_output=full_output)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PlainSandbox, "run", run)
    with pytest.raises(OSError, match="No space"):
        await stage.work(order)
    await stage.work(order)
    assert [text for text in stage.texts(order.me, "tool.result") if "interrupted" in text]
    await stage.close()
