"""Thousands of tasks through one planner: its histories stay short, whole, and quick to replay."""

import asyncio
import time
from collections import Counter

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from headway.domain.ids import AgentId
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn
from workflows.planner import Planner


async def chain(script: Script, agent: AgentId) -> list[WorkflowHistory]:
    """The histories of all workflow runs of a planner."""
    listed = script.client.list_workflows(f"WorkflowId = '{agent}'")
    return [await script.client.get_workflow_handle(agent, run_id=run.run_id).fetch_history() async for run in listed]


def timeouts(history: WorkflowHistory) -> set[int]:
    """How workflow tasks of `history` timed out.

    Schedule to start is the server's own way past a worker that has more to do than it gets to in ten seconds: another
    may have the task. Nothing fails by it, and it says how fast the machine is that the tests share: where thousands of
    tasks are asked for, on a machine of its own, there must be none of it either.
    """
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
    return {
        event.workflow_task_timed_out_event_attributes.timeout_type
        for event in history.events
        if event.event_type == kind
    }


@pytest.mark.parametrize(
    ("tasks", "within_s"),
    [
        pytest.param(200, 100, id="200"),
        pytest.param(10_000, 3000, id="10,000", marks=[pytest.mark.long, pytest.mark.timeout(3100)]),
    ],
)
async def test_tasks_through_one_planner_keep_every_history_bounded(
    cached_script: Script, tasks: int, within_s: float
) -> None:
    script = cached_script

    async def plan(order: PlanTurn) -> TurnOutcome:
        asked = (order.turn - 1) * 100
        if asked >= tasks:
            return outcome(order, Decision.WAIT) if order.inbox else finish(order)
        return outcome(order, Decision.WAIT, spawned=spawn(order, *(f"task {index}" for index in range(100))))

    script.plan = plan
    script.context_update = {"task_tokens": 10_000, "continue_after": 500 if tasks > 1000 else 100}
    script.budget = script.budget.model_copy(update={"tasks": tasks, "tokens": 10**10})
    report = await asyncio.wait_for((await script.start()).result(), within_s)
    taken = Counter(notice.child for turn in script.turns for notice in turn.inbox)
    assert len(taken) == report["spent"]["tasks"] == tasks
    assert set(taken.values()) == {1}
    histories = await chain(script, script.turns[0].me)
    assert len(histories) >= max(2, tasks // 600)
    replayer = Replayer(workflows=[Planner], data_converter=pydantic_data_converter)
    for history in histories:
        assert len(history.events) <= 10_000
        assert sum(event.ByteSize() for event in history.events) <= 10_000_000
        assert not timeouts(history) - ({TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START} if tasks < 1000 else set())
        began = time.process_time()
        await replayer.replay_workflow(history)
        assert time.process_time() - began < 3
