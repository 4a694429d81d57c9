"""The baseline of `durable_tasks`: our shape in plain Temporal, as one would write it in an afternoon.

A planner starts waves of thin ABANDON children; each runs one activity on a second queue and signals the planner.
Loses its place at continue-as-new, knows no budget, no reset, no cancel, no audit.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.worker import Worker

QUEUE, AGENT_QUEUE = "bare", "bare-agents"


@dataclass
class Wave:
    """So many tasks, so many at once."""

    tasks: int
    at_once: int


@activity.defn
async def bare_turn(turn: int) -> int:
    """A turn that decides nothing."""
    activity.heartbeat()
    return turn


@activity.defn
async def bare_work(task: str) -> str:
    """A worker that does nothing."""
    activity.heartbeat()
    return task


@workflow.defn
class BareTask:
    """One activity, one signal."""

    @workflow.run
    async def run(self, parent: str) -> None:
        me = workflow.info().workflow_id
        await workflow.execute_activity(
            bare_work,
            me,
            task_queue=AGENT_QUEUE,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1)),
        )
        await workflow.get_external_workflow_handle(parent).signal("done", me)


@workflow.defn
class BarePlanner:
    """Waves of children."""

    def __init__(self) -> None:
        self.received: set[str] = set()

    @workflow.signal
    def done(self, child: str) -> None:
        """A child is done."""
        self.received.add(child)

    @workflow.run
    async def run(self, wave: Wave) -> int:
        me, asked = workflow.info().workflow_id, 0
        while asked < wave.tasks:
            await workflow.execute_activity(
                bare_turn,
                asked,
                task_queue=AGENT_QUEUE,
                start_to_close_timeout=timedelta(hours=1),
                heartbeat_timeout=timedelta(seconds=60),
            )
            ids = [f"{me}/{index}" for index in range(asked, min(asked + wave.at_once, wave.tasks))]
            await asyncio.gather(
                *(
                    workflow.start_child_workflow(
                        BareTask.run,
                        me,
                        id=child,
                        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    )
                    for child in ids
                )
            )
            asked += len(ids)
            await workflow.wait_condition(lambda: len(self.received) >= asked)  # noqa: B023
        return len(self.received)


def workflow_worker(client: Client) -> Worker:
    """The process of workflows."""
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[BarePlanner, BareTask],
        max_cached_workflows=2000,
        max_concurrent_workflow_tasks=10,
    )


def activity_worker(client: Client) -> Worker:
    """The process of activities."""
    return Worker(client, task_queue=AGENT_QUEUE, activities=[bare_turn, bare_work], max_concurrent_activities=200)
