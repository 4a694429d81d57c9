"""Budgets on the real machine: default limits fill the slots of a tree, and a small limit is refused or told truly."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from headway.domain.ids import RunName
from headway.domain.planner_turn import ChildKind
from headway.eventlog.views.children import Past
from headway.rehearsal.generator import generate
from headway.rehearsal.shape import Shape
from tests.support.command import headway
from tests.support.site import Machine, machine

PRICES = {"planner": {"price": {"input": 2, "output": 10}}, "worker": {"price": {"input": 0.5, "output": 2}}}
SMALL = Shape(tasks=16, levels=3, subplanners=2, hot=0.1, files=1, commands=2, command_s=1.0, latency_ms=600)
TREE = Shape(tasks=60, levels=3, subplanners=4, hot=0.1, files=1, commands=2, command_s=1.0, latency_ms=2500)
DEEP = Shape(tasks=6, levels=2, subplanners=2, files=1, latency_ms=100, tokens_in=9_000)


async def slots_taken(client: Client) -> tuple[int, int]:
    """Tasks that a worker process has at work now, and those that it ever took."""
    found = [each async for each in client.list_workflows("WorkflowType = 'Task'")]
    open_ones = [each.id for each in found if each.status is WorkflowExecutionStatus.RUNNING]
    described = await asyncio.gather(*(client.get_workflow_handle(each).describe() for each in open_ones))
    started = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    pending = [each.raw_description.pending_activities for each in described]
    busy = sum(any(one.state == started for one in each) for each in pending)
    return busy, busy + len(found) - len(open_ones)


def tasks_asked(site: Machine) -> int:
    """Tasks that the planners of the run have asked for, whether they were started or wait for budget."""
    asked = 0
    for agent in site.store.agents(RunName("tree")):
        past = Past()
        for event in site.store.stream(agent):
            past.apply(event)
        asked += sum(each.spawned.kind is ChildKind.TASK for each in past.asked.values())
    return asked


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("models", "shape", "slots"),
    [
        pytest.param({}, SMALL, 6, id="small-unpriced"),
        pytest.param(PRICES, SMALL, 6, marks=pytest.mark.long, id="small-priced"),
        pytest.param({}, TREE, 16, marks=pytest.mark.long, id="tree-unpriced"),
        pytest.param(PRICES, TREE, 16, marks=pytest.mark.long, id="tree-priced"),
    ],
)
async def test_a_tree_of_three_levels_keeps_the_slots_busy_at_default_limits(
    home: Path, small_repository: Path, shape: Shape, slots: int, models: dict[str, Any]
) -> None:
    async with machine(home, small_repository, generate(shape), agents=slots) as site:
        run = await site.start("tree", models=models)
        ended, seen, out = asyncio.ensure_future(run.result()), list[int](), 0
        while out < 0.9 * shape.tasks and not ended.done():
            asked = await asyncio.to_thread(tasks_asked, site)
            busy, out = await slots_taken(site.client)
            # While planners have asked for fewer tasks than there are slots, no budget could fill them.
            seen += [busy] if asked - (out - busy) >= slots else []
            await asyncio.sleep(0.25)
        report = await ended
    assert len(seen) > shape.tasks / slots
    assert report["outcome"] == "done_unproven"
    assert sum(seen) / len(seen) >= 0.9 * slots, seen


async def refused(site: Machine, name: str, **limits: Any) -> str:
    """Why a run with these limits is refused."""
    run = await site.start(name, limits=limits)
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(run.result(), 60)
    return str(failure.value.cause)


async def test_a_small_limit_is_refused_with_the_number_that_works_and_each_remedy_of_a_hold_helps(
    home: Path, small_repository: Path
) -> None:
    async with machine(home, small_repository, generate(DEEP)) as site:
        said = await refused(site, "small", tokens=120_000)
        least = re.search(r"Set limits\.tokens to (\d+) or more", said)
        assert least, said
        run = await site.start("small", limits={"tokens": int(least[1])})
        ended, followed = asyncio.ensure_future(run.result()), list[str]()
        while not ended.done():
            if (await run.query("status"))["phase"] == "hold":
                before = await at_models(site)
                shown = json.loads((await headway(home, "status", "small", "--json")).out)
                followed.append(await follow(home, shown["attention"]))
                async with asyncio.timeout(60):
                    while await at_models(site) == before and not ended.done():  # noqa: ASYNC110 - a call is made
                        await asyncio.sleep(0.1)
                assert len(followed) < 6, followed
            await asyncio.sleep(0.2)
        report = await ended
        assert followed, "this run needs more than the least"
        assert report["outcome"] in {"done_unproven", "partial"}
        assert report["handoffs"].get("done", 0) >= DEEP.tasks


async def follow(home: Path, attention: list[str]) -> str:
    """Give the command that a run on hold names, as it stands there."""
    told = re.search(r"on hold: .* more is needed, .*`(headway [^`]+)`", " ".join(attention))
    assert told, attention
    said = await headway(home, *shlex.split(told[1])[1:])
    assert said.code == 0, said
    assert "does not help" not in said.out
    return told[1]


async def at_models(site: Machine) -> int:
    """Calls that the model's server was asked for."""
    return int(site.rehearsal.report()["requests"])
