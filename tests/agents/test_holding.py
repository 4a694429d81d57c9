"""One worker at a time in a workspace: a newer lease stops what runs under an older one, then takes the files."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId
from headway.runs.workspace_lock import alone, while_held
from tests.agents.stage import Stage
from tests.support.loops import Loops

ROOT = Path(__file__).resolve().parents[2]
ME = AgentId("r1/root-00000000/1.0-00000000")


async def test_a_newer_holder_stops_the_work_and_comes_in_after_its_end(stage: Stage) -> None:
    store, places = stage.store, stage.places
    old = store.open(ME, role="worker")
    workspace = places.open(ME, 1, old.lease)
    seen: list[str] = []
    begun = asyncio.Event()

    async def command() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("old ends")

    async def hold() -> None:
        async with alone(workspace, old):
            await while_held(old, command())

    holding = asyncio.create_task(hold())
    await begun.wait()
    new = store.open(ME, role="worker")
    async with alone(places.open(ME, 1, new.lease), new):
        seen.append("new begins")
    with pytest.raises(LeaseLost):
        await holding
    assert seen == ["old ends", "new begins"]


async def test_an_error_of_work_that_a_newer_holder_stops_is_not_reported_to_the_loop(stage: Stage) -> None:
    old = stage.store.open(ME, role="worker")

    async def command() -> None:
        try:
            stage.store.open(ME, role="worker").close()
            await asyncio.Event().wait()
        finally:
            raise OSError(28, "No space left on device")

    with Loops().watched():
        with pytest.raises(LeaseLost):
            await while_held(old, command())
        await asyncio.sleep(0)


async def test_an_older_holder_does_not_come_in_any_more(stage: Stage) -> None:
    store = stage.store
    old = store.open(ME, role="worker")
    workspace = stage.places.open(ME, 1, old.lease)
    store.open(ME, role="worker").close()
    with pytest.raises(LeaseLost):
        async with alone(workspace, old):
            raise AssertionError


HOLDER = """
import asyncio, os, sys, time
from pathlib import Path
from types import SimpleNamespace
from headway.runs.workspace_lock import alone

async def hold():
    async with alone(SimpleNamespace(home=Path(sys.argv[1])), SimpleNamespace(check=lambda: None)):
        print("held", flush=True)
        if sys.argv[2] == "stops":
            os.kill(os.getpid(), 19)
        time.sleep(2)  # as a sync of a slow disk
        os._exit(7)

asyncio.run(hold())
"""


@pytest.mark.parametrize(("how", "code"), [("stops", -signal.SIGKILL), ("is slow", 7)])
async def test_a_stopped_process_does_not_keep_the_files_and_a_slow_one_does(how: str, code: int, stage: Stage) -> None:
    old = stage.store.open(ME, role="worker")
    home = stage.places.open(ME, 1, old.lease).home
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(home), how, stdout=asyncio.subprocess.PIPE, env=env
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    new = stage.store.open(ME, role="worker")
    async with alone(stage.places.open(ME, 1, new.lease), new, patience_s=0.5):
        assert await holder.wait() == code
