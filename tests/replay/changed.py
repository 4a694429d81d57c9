"""Workflows that decide otherwise than the recorded ones, under the same names: what a replay must notice."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

from headway.domain.messages import TaskOrder
from headway.domain.state.planner import PlannerState
from workflows import signals


@workflow.defn(name="Planner")
class SleepyPlanner:
    """Waits before it thinks."""

    @workflow.run
    async def run(self, state: PlannerState) -> None:
        await workflow.sleep(timedelta(seconds=1))


@workflow.defn(name="Task")
class RenamedTask:
    """Calls its activity by another name."""

    @workflow.run
    async def run(self, order: TaskOrder) -> None:
        await workflow.execute_activity("work_on_it", order, start_to_close_timeout=timedelta(seconds=1))


@workflow.defn(name="Run")
class LazyRun:
    """Is done at once."""

    @workflow.run
    async def run(self, *inputs: Any) -> None:
        return


@workflow.defn(name="Planner")
class BrokenPlanner:
    """Has a bug."""

    @workflow.run
    async def run(self, state: PlannerState) -> None:
        raise KeyError(signals.GONE)


CHANGED: tuple[type, ...] = (SleepyPlanner, RenamedTask, LazyRun)
