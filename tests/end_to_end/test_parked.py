"""A whole machine whose model has no quota for a while, and one whose model fails in every way there is."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from headway.domain.ids import AgentId
from headway.rehearsal.blackout import Blackout
from headway.rehearsal.fault import Fault
from headway.rehearsal.generator import generate, tasks_of
from headway.rehearsal.shape import Shape
from tests.support.site import Machine, machine

GRACE_S = 6.0
"""What left before the first refusal was heard of has arrived after so long, on a busy machine too."""
PLENTY = {"tokens": 2_000_000_000, "attempts": 10}

EVERY_FAULT = (
    Fault(kind="rate_limit", share=0.004, retry_after_s=0, times=1),
    Fault(kind="quota", share=0.002, retry_after_s=0.5, times=1),
    Fault(kind="server_error", share=0.01),
    Fault(kind="unavailable", share=0.01, retry_after_s=1),
    Fault(kind="hang", share=0.004, seconds=1),
    Fault(kind="truncated", share=0.01),
    Fault(kind="html", share=0.01),
    Fault(kind="dropped", share=0.01),
    Fault(kind="overflow", share=0.004, only="tasks"),
    Fault(kind="unknown_tool", share=0.01, only="tasks"),
    Fault(kind="bad_arguments", share=0.01, only="tasks"),
    Fault(kind="empty", share=0.01, only="tasks"),
    Fault(kind="toolless", share=0.01, only="tasks"),
    Fault(kind="refusal", share=0.01, only="tasks"),
)


async def until_parked(run: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The run's status once it says that it is parked."""
    async with asyncio.timeout(90):
        while not (status := await run.query("status"))["parked"]:  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.5)
    found: dict[str, Any] = status
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("tasks", "agents", "blackout"),
    [
        pytest.param(24, 24, Blackout(after=40, seconds=33, says_when=True), id="24 agents"),
        pytest.param(300, 300, Blackout(after=450, seconds=55), id="300 agents", marks=pytest.mark.long),
    ],
)
async def test_a_fleet_without_quota_waits_says_so_and_goes_on(
    home: Path, small_repository: Path, tasks: int, agents: int, blackout: Blackout
) -> None:
    shape = Shape(tasks=tasks, chunk=100, open=min(tasks, 1000), command_s=1)
    playbook = generate(shape, blackout=blackout)
    env = {"HEADWAY_PARKED_S": "10"}
    async with machine(home, small_repository, playbook, agents=agents, env=env) as site:
        run = await site.start("dark", limits=PLENTY | {"open_tasks": min(tasks, 1000)})
        parked = (await until_parked(run))["parked"][0]
        assert "quota" in parked["why"]
        assert "raise it" in parked["remedy"]
        assert parked["until"] > time.time() - 120
        report = await asyncio.wait_for(run.result(), 500)
        asked = site.rehearsal.report()
        status = await run.query("status")
        assert (status["parked"], status["went_on"] is not None) == ([], True)
        assert report["handoffs"] == {"done": tasks}, "none failed"
        further = [at for at in asked["refused_at_s"] if at > GRACE_S]
        print(f"refused: {len(asked['refused_at_s'])}, after {GRACE_S:g} s: {len(further)}")
        assert len(further) <= 3
        assert asked["repeats"] == 0
        assert await parks(site, list(site.handoffs("dark"))) > 0, "agents gave their slots up"


async def parks(site: Machine, agents: list[AgentId]) -> int:
    """How often workers ended as suspended because of their model, by the histories."""
    count = 0
    for agent in agents:
        for event in (await site.client.get_workflow_handle(agent).fetch_history()).events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                payloads = event.activity_task_completed_event_attributes.result.payloads
                count += sum(b'"why":"parked"' in each.data for each in payloads)
    return count


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("tasks", "agents"),
    [pytest.param(40, 16, id="40 workers"), pytest.param(500, 100, id="500 workers", marks=pytest.mark.long)],
)
async def test_workers_on_a_server_with_every_fault_all_hand_off_as_they_should(
    home: Path, small_repository: Path, tasks: int, agents: int
) -> None:
    shape = Shape(
        tasks=tasks, levels=2, subplanners=4, chunk=100, blocked=0.05, partial=0.05, latency_ms=(5, 60), seed=7
    )
    playbook = generate(shape, faults=EVERY_FAULT)
    # The usual timeout: a machine that is busy otherwise must not be taken for one that was killed.
    async with machine(home, small_repository, playbook, agents=agents, heartbeat_s=60) as site:
        run = await site.start("faulty", limits=PLENTY)
        report = await asyncio.wait_for(run.result(), 1500)
        asked, handoffs = site.rehearsal.report(), site.handoffs("faulty")
        print({name: asked[name] for name in ("requests", "faults", "retries", "repeats", "unheard")})
        # An attempt that failed, as by a first message that does not fit, has a handoff in the log as well.
        reports = {said[-1].title: said[-1].report for said in handoffs.values()}
        wrong = {task.title: reports[task.title] for task in tasks_of(shape) if reports[task.title].status != task.ends}
        assert wrong == {}
        assert asked["over_use"] == []
        assert sum(report["handoffs"].values()) == len(handoffs) - 1, "each was counted once, beside the root planner's"
        assert asked["repeats"] == 0
        assert await troubled(site, ["faulty", *handoffs]) == []


async def troubled(site: Machine, workflows: list[Any]) -> list[str]:
    """Workflows that failed, or one of whose tasks did."""
    bad = {EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED}
    found = []
    for name in workflows:
        events = (await site.client.get_workflow_handle(AgentId(name)).fetch_history()).events
        found += [f"{name}: {event.event_id}" for event in events if event.event_type in bad]
    return found
