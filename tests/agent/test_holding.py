"""One worker at a time in a workspace: a newer lease stops what runs under an older one, then takes the files."""

import asyncio

import pytest

from headway.agent.holding import alone, while_held
from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId
from tests.agent.stage import Stage

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


async def test_an_older_holder_does_not_come_in_any_more(stage: Stage) -> None:
    store = stage.store
    old = store.open(ME, role="worker")
    workspace = stage.places.open(ME, 1, old.lease)
    store.open(ME, role="worker").close()
    with pytest.raises(LeaseLost):
        async with alone(workspace, old):
            raise AssertionError
