"""Agent slots sink and rise while a worker works, on the real server; who works already keeps its heartbeats."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.slots import agent_tuner
from tests.support.waiting import until

AT_ONCE = 6
TASKS = 12


@workflow.defn(name="Crowd", sandboxed=False)
class Crowd:
    """Asks for all of its agents at once."""

    @workflow.run
    async def run(self, queue: str) -> int:
        asked = [
            workflow.execute_activity(
                "work",
                task_queue=queue,
                start_to_close_timeout=timedelta(minutes=5),
                heartbeat_timeout=timedelta(seconds=2),
            )
            for _ in range(TASKS)
        ]
        return sum(await asyncio.gather(*asked))


class Floor:
    """Counts who works, and lets them end when it is told to."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.attempts = 0
        self.go = asyncio.Event()

    @activity.defn(name="work")
    async def work(self) -> int:
        """Beats until it may end."""
        self.now, self.attempts = self.now + 1, self.attempts + 1
        self.most = max(self.most, self.now)
        while not self.go.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.2)
        self.now -= 1
        return 1


@asynccontextmanager
async def working(client: Client, allowed: list[int]) -> AsyncIterator[tuple[Floor, WorkflowHandle[Any, int]]]:
    """A crowd that wants to work, where so many may as `allowed` says."""
    queue, floor = f"slots-{uuid.uuid4().hex[:8]}", Floor()
    agents = Worker(
        client,
        task_queue=f"{queue}-agents",
        activities=[floor.work],
        tuner=agent_tuner(lambda: allowed[0]),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
    )
    flows = Worker(client, task_queue=queue, workflows=[Crowd], workflow_runner=UnsandboxedWorkflowRunner())
    async with agents, flows:
        yield floor, await client.start_workflow("Crowd", f"{queue}-agents", id=queue, task_queue=queue)


async def test_fewer_start_while_the_machine_is_short_none_is_stopped_and_all_end(client: Client) -> None:
    allowed = [AT_ONCE]
    async with working(client, allowed) as (floor, handle):
        await until(lambda: floor.now == AT_ONCE)
        allowed[0] = 2
        for _ in range(20):  # longer than the heartbeat timeout: a starved heartbeat would bring a second attempt
            await asyncio.sleep(0.2)
            assert floor.now == AT_ONCE
        assert floor.attempts == AT_ONCE
        floor.go.set()
        await until(lambda: floor.now <= 2)
        allowed[0] = AT_ONCE
        assert await handle.result() == TASKS
    assert (floor.most, floor.attempts) == (AT_ONCE, TASKS)


async def test_only_as_many_start_as_are_allowed_and_more_when_it_rises(client: Client) -> None:
    allowed = [2]
    async with working(client, allowed) as (floor, handle):
        await until(lambda: floor.now == 2)
        allowed[0] = 5
        await until(lambda: floor.now == 5)
        assert floor.most == 5
        floor.go.set()
        assert await handle.result() == TASKS
