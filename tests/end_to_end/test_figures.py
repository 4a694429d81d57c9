"""What a run is shown to have used up while it goes on, beside what the raw logs of its agents sum to."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest
from temporalio.client import WorkflowHandle

from headway.cli.display.screen import screen
from headway.cli.display.watch import Watcher
from headway.cli.status import json_of
from headway.domain.ids import RunName
from headway.domain.tree import TreeNode, walk
from headway.rehearsal.generator import generate
from headway.rehearsal.shape import Shape
from tests.support.command import headway
from tests.support.site import Machine, machine

SHAPE = Shape(tasks=6, levels=2, subplanners=2, files=1, commands=3, command_s=1.5, latency_ms=900)
BUSY = Shape(tasks=30, levels=2, subplanners=4, files=1, looks=60, commands=3, command_s=0.2, latency_ms=100)
LATE_S = 30.0
"""The tree query and the Web UI may be so late."""
UNITS = {"": 1, "k": 1_000, "M": 1_000_000}
PLACES = (
    *("status --json", "its answer in status --json", "status", "live view", "answer of limits"),
    *("status query", "details", "tree, planner", "tree, task", "planner's details"),
)


@dataclass(frozen=True)
class Shown:
    """The tokens that a place shows of an agent and all below it, and how much it may have rounded off."""

    place: str
    agent: str
    tokens: int
    rounding: int = 0


Logs = dict[str, int]
"""The tokens that the answered calls in each agent's log sum to."""


def in_logs(site: Machine, run: str) -> Logs:
    """Every log of a run, read from its first byte: apart from the product's arithmetic."""
    folder, found = site.store.run_folder(RunName(run)) / "logs", {}
    for path in folder.rglob("*.jsonl"):
        events = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        calls = [event["data"]["tokens"] for event in events if event["type"] == "llm.response"]
        assert not any(event["data"].get("cut_off") for event in events), "no call of these runs is cut off"
        found[f"{run}/{path.relative_to(folder).with_suffix('')}"] = sum(calls)
    return found


def total(logs: Logs, agent: str) -> int:
    """The sum of an agent and all below it."""
    return sum(tokens for each, tokens in logs.items() if f"{each}/".startswith(f"{agent}/"))


class Judge:
    """Compares what is shown with the logs before and after."""

    def __init__(self, site: Machine, run: str) -> None:
        self._site, self._run = site, run
        self._known: list[tuple[float, Logs]] = []
        self.looks: dict[str, int] = {}

    async def logs(self) -> Logs:
        """The logs now."""
        found = await asyncio.to_thread(in_logs, self._site, self._run)
        self._known.append((time.monotonic(), found))
        return found

    def judge(self, shown: Shown, least: Logs, most: Logs) -> None:
        """Assert that a place shows an agent and all below it as they stood between two moments.

        Spending may be off by one call an agent. It is exact, because no place counts a call before its answer.
        """
        low, high = total(least, shown.agent), total(most, shown.agent)
        assert low - shown.rounding <= shown.tokens <= high + shown.rounding, (shown, low, high)
        self.looks[shown.place] = self.looks.get(shown.place, 0) + bool(shown.tokens)

    def late(self, began: float) -> Logs:
        """The logs as they stood `LATE_S` before a look began."""
        return next((logs for at, logs in reversed(self._known) if at <= began - LATE_S), {})


async def details(site: Machine, workflow: str) -> str:
    """What the Web UI shows of a workflow as its current details."""
    request = QueryWorkflowRequest(namespace=site.client.namespace, query=WorkflowQuery())
    request.execution.workflow_id, request.query.query_type = workflow, "__temporal_workflow_metadata"
    answer = await site.client.workflow_service.query_workflow(request)
    found = await site.client.data_converter.decode(answer.query_result.payloads, [WorkflowMetadata])
    return str(found[0].current_details)


async def queries(site: Machine, run: WorkflowHandle[Any, Any]) -> list[Shown]:
    """What each query shows."""
    status, tree = await run.query("status"), await run.query("tree")
    found = [Shown("status query", run.id, int(status["spent"]["tokens"]))]
    used = _told(r"\*\*Used:\*\* ([\d,]+) tokens", await details(site, run.id))
    found += [Shown("details", run.id, each) for each in used]
    if tree is None:
        return found
    # Its tasks are told to the run now and then, and are known to the root planner.
    root = await site.client.get_workflow_handle(tree["id"]).query("tree")
    for node, _ in (*walk(TreeNode.model_validate(tree)), *walk(TreeNode.model_validate(root))):
        found.append(Shown(f"tree, {node.kind}", node.id, node.spent.tokens))
        if node.kind == "planner":
            used = _told(r"\*\*Budget:\*\* ([\d,]+) of", await details(site, node.id))
            found += [Shown("planner's details", node.id, each) for each in used]
    return found


def _told(pattern: str, text: str) -> Iterator[int]:
    for number in re.findall(pattern, text):
        yield int(number.replace(",", ""))


def cost(place: str, run: str, text: str) -> list[Shown]:
    """The tokens in the line of the cost, as a screen rounds them; a run that is prepared or has ended has none."""
    told = re.search(r"^cost +([\d.]+)([kM]?)", text, re.MULTILINE)
    if told is None:
        return []
    digits = len(told[1].partition(".")[2])
    return [Shown(place, run, round(float(told[1]) * UNITS[told[2]]), UNITS[told[2]] // 10**digits)]


async def look_at_commands(site: Machine, run: str, judge: Judge) -> None:
    """What the command says, as a program and as a person reads it."""
    before = await judge.logs()
    look = json.loads((await headway(site.home, "status", run, "--json")).out)
    after = await judge.logs()
    judge.judge(Shown("status --json", run, look["total"]["spent"]["tokens"]), before, after)
    before = await judge.logs()
    text = (await headway(site.home, "status", run)).out
    after = await judge.logs()
    for each in cost("status", run, text):
        judge.judge(each, before, after)


async def raise_limit(site: Machine, run: WorkflowHandle[Any, Any], judge: Judge) -> None:
    """The answer of a change of limits tells what is used up; long before a handoff, which history hears of."""
    before = await judge.logs()
    limited = await run.execute_update("set_limits", {"request": "more", "tokens": 40_000_000})
    after = await judge.logs()
    (used,) = _told(r"used up so far: ([\d,]+) tokens", limited)
    judge.judge(Shown("answer of limits", run.id, used), before, after)


async def prove_end(site: Machine, run: WorkflowHandle[Any, Any], report: dict[str, Any], shape: Shape) -> None:
    """What stands at the end is exact: spending, trunk, commits, and how each agent ended."""
    assert report["spent"]["tokens"] == total(in_logs(site, run.id), run.id)
    status = await run.query("status")
    assert status["trunk"] == report["trunk"] != site.hub(run.id).facts().base
    assert status["commits"] == report["commits"] == len(site.landed(run.id))
    closed = [each.id async for each in site.client.list_workflows("HeadwayState = 'done'")]
    assert len(closed) == shape.tasks + shape.planners, "tasks and planners say in lists how they ended"


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("shape", "agents", "commands_every"),
    [pytest.param(SHAPE, 6, 6, id="short"), pytest.param(BUSY, 16, 1, id="busy", marks=pytest.mark.long)],
)
async def test_every_place_shows_what_the_logs_sum_to_while_a_run_goes_on(
    home: Path, small_repository: Path, shape: Shape, agents: int, commands_every: int
) -> None:
    async with machine(home, small_repository, generate(shape), agents=agents) as site:
        run, judge = await site.start("true"), Judge(site, "true")
        ended, watcher, paid_for = asyncio.ensure_future(run.result()), Watcher(site.client, RunName("true"), home), 0
        while not ended.done():
            began, before = time.monotonic(), await judge.logs()
            look = await watcher.look()
            after = await judge.logs()
            if look.status:
                tokens = json_of(look, None)["status"]["spent"]["tokens"]
                judge.judge(Shown("its answer in status --json", run.id, tokens), before, after)
            for each in cost("live view", run.id, "\n".join(line.plain for line in screen(look, 100, 30))):
                judge.judge(each, before, after)
            late, answers = judge.late(time.monotonic()), await queries(site, run)
            after = await judge.logs()
            for answer in answers:
                judge.judge(answer, late, after)
            paid_for += bool(total(after, run.id))  # seconds since the first answer
            if paid_for == 1:
                await raise_limit(site, run, judge)
            if paid_for % commands_every == 1 % commands_every:
                await look_at_commands(site, run.id, judge)
            await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
        await prove_end(site, run, await ended, shape)
        assert [place for place in PLACES if not judge.looks.get(place)] == []
        assert shape is not BUSY or judge.late(began - LATE_S / 2), "the run went on for longer than what may be late"


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
