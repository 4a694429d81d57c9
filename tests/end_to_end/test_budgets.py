"""Budgets on the real machine: default limits fill the slots of a tree, and a small limit is refused or told truly."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowExecutionStatus

from headway.rehearsal.generator import generate
from headway.rehearsal.shape import Shape
from tests.end_to_end.site import machine

PRICES = {"planner": {"price": {"input": 2, "output": 10}}, "worker": {"price": {"input": 0.5, "output": 2}}}
SMALL = Shape(tasks=24, levels=3, subplanners=2, hot=0.1, files=1, commands=2, command_s=1.0, latency_ms=600)
TREE = Shape(tasks=60, levels=3, subplanners=4, hot=0.1, files=1, commands=2, command_s=1.0, latency_ms=2500)
DEEP = Shape(tasks=6, levels=2, subplanners=2, files=1, latency_ms=100)


async def slots_taken(client: Client) -> tuple[int, int]:
    """Tasks that a worker process has at work now, and those that it ever took."""
    found = [each async for each in client.list_workflows("WorkflowType = 'Task'")]
    open_ones = [each.id for each in found if each.status is WorkflowExecutionStatus.RUNNING]
    described = await asyncio.gather(*(client.get_workflow_handle(each).describe() for each in open_ones))
    started = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    pending = [each.raw_description.pending_activities for each in described]
    busy = sum(any(one.state == started for one in each) for each in pending)
    return busy, busy + len(found) - len(open_ones)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("models", [pytest.param(PRICES, id="priced"), pytest.param({}, id="unpriced")])
@pytest.mark.parametrize(
    ("shape", "slots"), [pytest.param(SMALL, 6, id="small"), pytest.param(TREE, 16, marks=pytest.mark.long, id="tree")]
)
async def test_a_tree_of_three_levels_keeps_the_slots_busy_at_default_limits(
    home: Path, small_repository: Path, shape: Shape, slots: int, models: dict[str, Any]
) -> None:
    async with machine(home, small_repository, generate(shape), agents=slots) as site:
        run = await site.start("tree", models=models)
        ended, seen, out = asyncio.ensure_future(run.result()), list[int](), 0
        while out < 0.9 * shape.tasks and not ended.done():
            busy, out = await slots_taken(site.client)
            seen += [busy] if out else []
            await asyncio.sleep(0.25)
        report = await ended
    assert report["outcome"] == "done_unproven"
    assert sum(seen) / len(seen) >= 0.9 * slots, seen
