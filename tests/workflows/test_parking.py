"""A run whose root planner failed, in the moment in which it begins to wait for its user. On the real server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio import activity
from temporalio.client import Client

from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.run import Publish, Published
from tests.workflows.scripted import BASE, Script, finish, outcome


class SlowPush(Script):
    """The user's repository takes its time, once."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(client, name)
        self.pushing, self.pushed = asyncio.Event(), asyncio.Event()

    @activity.defn(name="publish")
    async def publish(self, order: Publish) -> Published:
        self.pushing.set()
        while not self.pushed.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.1)
        return Published(trunk=BASE, branch="main")


@pytest.fixture
async def script(client: Client, name: str) -> AsyncIterator[SlowPush]:
    script = SlowPush(client, name)
    async with script.working():
        yield script


async def test_a_run_that_is_resumed_while_it_still_publishes_waits_for_its_new_planner(script: SlowPush) -> None:
    fixed, asked_again = asyncio.Event(), asyncio.Event()

    async def plan(turn: PlanTurn) -> TurnOutcome:
        if not fixed.is_set():
            return outcome(turn, Decision.GAVE_UP, why="no usable reply")
        asked_again.set()
        await script.pushed.wait()
        await asyncio.sleep(1)  # the run must not take this time for an end
        return finish(turn)

    script.plan = plan
    run = await script.start()
    await script.pushing.wait()
    fixed.set()
    resume = {"request": "r1", "target": script.name, "who": "me@here", "why": "the key was wrong"}
    assert "another root planner" in await run.execute_update("resume", resume)
    await asked_again.wait()
    script.pushed.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
