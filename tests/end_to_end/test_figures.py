"""What a run is shown to have used up while it goes on, where history knows it only now and then."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest
from temporalio.client import WorkflowHandle

from headway.domain.ids import RunName
from headway.domain.tree import TreeNode
from headway.rehearsal.generator import generate
from headway.rehearsal.shape import Shape
from headway.trace.figures import figures_of
from tests.end_to_end.site import Machine, machine

SHAPE = Shape(tasks=6, levels=2, subplanners=2, files=1, commands=3, command_s=1.5, latency_ms=900)
LATE_S = 30.0
"""The tree query and the Web UI may be so late."""


async def tokens_in_logs(site: Machine, run: str) -> int:
    logs = site.store.run_folder(RunName(run)) / "logs"
    return (await asyncio.to_thread(figures_of, logs, RunName(run))).total.spent.tokens


async def details(site: Machine, workflow: str) -> str:
    """What the Web UI shows of a workflow as its current details."""
    request = QueryWorkflowRequest(namespace=site.client.namespace, query=WorkflowQuery())
    request.execution.workflow_id, request.query.query_type = workflow, "__temporal_workflow_metadata"
    answer = await site.client.workflow_service.query_workflow(request)
    found = await site.client.data_converter.decode(answer.query_result.payloads, [WorkflowMetadata])
    return str(found[0].current_details)


async def shown(site: Machine, run: WorkflowHandle[Any, Any]) -> dict[str, int]:
    """The tokens that each place shows."""
    status, tree = await run.query("status"), await run.query("tree")
    used = re.search(r"\*\*Used:\*\* ([\d,]+) tokens", await details(site, run.id))
    found = {"status": status["spent"]["tokens"]}
    if tree is not None:
        node = TreeNode.model_validate(tree)
        found["tree"] = node.spent.tokens
        budget = re.search(r"\*\*Budget:\*\* ([\d,]+) of", await details(site, node.id))
        assert budget
        found["planner's details"] = int(budget[1].replace(",", ""))
    return found | ({"details": int(used[1].replace(",", ""))} if used else {})


@pytest.mark.timeout(240)
async def test_every_place_shows_what_the_logs_sum_to_while_a_run_goes_on(home: Path, small_repository: Path) -> None:
    async with machine(home, small_repository, generate(SHAPE), agents=6) as site:
        run = await site.start("true")
        ended, known, places = asyncio.ensure_future(run.result()), list[tuple[float, int]](), set[str]()
        limited = ""
        while not ended.done():
            known.append((time.monotonic(), await tokens_in_logs(site, "true")))
            at, found = time.monotonic(), await shown(site, run)
            after = await tokens_in_logs(site, "true")
            least = max((tokens for seen, tokens in known if seen <= at - LATE_S), default=0)
            assert all(least <= tokens <= after for tokens in found.values()), (least, found, after)
            if known[-1][1]:
                # By far before anything handed off, which is all that history hears of.
                places |= {place for place, tokens in found.items() if tokens}
            if not limited and after:
                before = await tokens_in_logs(site, "true")
                limited = await run.execute_update("set_limits", {"request": "more", "tokens": 40_000_000})
                told = re.search(r"used up so far: ([\d,]+) tokens", limited)
                assert told
                assert before <= int(told[1].replace(",", "")) <= await tokens_in_logs(site, "true")
            await asyncio.sleep(0.5)
        report = await ended
        assert places == {"status", "tree", "details", "planner's details"}
        assert report["spent"]["tokens"] == await tokens_in_logs(site, "true")
        status = await run.query("status")
        assert status["trunk"] == report["trunk"] != site.hub("true").facts().base
        assert status["commits"] == report["commits"] == len(site.landed("true"))
        closed = [each.id async for each in site.client.list_workflows("HeadwayState = 'done'")]
        assert len(closed) == 6 + 3, "tasks and planners say in lists how they ended"


@pytest.mark.timeout(120)
async def test_lists_tell_a_run_that_is_paused_from_one_that_works(home: Path, small_repository: Path) -> None:
    async with machine(home, small_repository, generate(SHAPE)) as site:
        run = await site.start("held")
        order = {"request": "p", "target": "held", "who": "ada", "why": "lunch"}
        await run.execute_update("pause", order)
        async with asyncio.timeout(60):
            while True:
                held = {each.id async for each in site.client.list_workflows("HeadwayState = 'paused'")}
                if "held" in held and any("/" in each for each in held):
                    break
                await asyncio.sleep(0.2)
        status = await run.query("status")
        assert (status["stands"], status["paused"][0]["why"]) == ("paused", "lunch")
        await run.execute_update("resume", {"request": "r", "target": "held"})
        async with asyncio.timeout(60):
            while [each.id async for each in site.client.list_workflows("HeadwayState = 'paused'")]:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await run.terminate()
