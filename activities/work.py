"""`run_worker` and `end_worker`: one task's work, and its end from outside."""

from typing import Protocol

from temporalio import activity

from activities.control import ControlWatch
from activities.heartbeat import as_application_error, heartbeat
from activities.server_time import server_time
from headway.domain.errors import Parked
from headway.domain.messages import EndWorker, WorkerDone, WorkerSuspended, WorkOrder, WorkOutcome
from headway.domain.progress import Progress


class WorkerAgent(Protocol):
    """The loop of a worker, resumable from its log and its workspace after a kill -9."""

    async def work(self, order: WorkOrder, progress: Progress) -> WorkOutcome: ...

    async def end(self, order: EndWorker) -> WorkerDone: ...


class Work:
    """The activities of a `Task`. One long activity is the whole work of one attempt."""

    def __init__(self, agent: WorkerAgent, control: ControlWatch) -> None:
        self._agent = agent
        self._control = control

    @activity.defn
    @as_application_error
    async def run_worker(self, order: WorkOrder) -> WorkOutcome:
        """Work on the task until it is handed off, or until the way is not free.

        Cancellation, of whatever kind, kills the command, syncs the log and leaves the workspace as it is: only
        `end_worker` cleans up, because only the `Task` knows whether this was the end.
        """
        async with heartbeat() as progress:
            try:
                return await self._control.held_to(
                    order.me,
                    progress,
                    lambda step: self._agent.work(order, step),
                    WorkerSuspended(why="held"),
                    renewed=order.renewed,
                )
            except Parked as parked:
                return WorkerSuspended(why="parked", until=server_time() + parked.delay_s)


class WorkEnds:
    """The activity that ends a worker from outside. It runs in planning's process, so that full agent slots never hold
    it.
    """

    def __init__(self, agent: WorkerAgent) -> None:
        self._agent = agent

    @activity.defn
    @as_application_error
    async def end_worker(self, order: EndWorker) -> WorkerDone:
        """Fence the worker, keep its unlanded changes on a ref, and store its handoff."""
        async with heartbeat():
            return await self._agent.end(order)
