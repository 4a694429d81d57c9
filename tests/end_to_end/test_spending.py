"""Agents that spend as fast as they can, in two worker processes: all together they stay within the run's limits."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from headway.domain.budget import MICRO
from headway.domain.ids import RunName
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, Tokens
from tests.end_to_end.playbooks import asked, done, step, use
from tests.end_to_end.site import Machine, machine

CALL = Tokens(input=1000, output=1000)
CALLS = 60
PRICE = {"input": 1.0, "output": 10.0}
WINDOW = {"HEADWAY_WINDOW": "16384", "HEADWAY_MAX_OUTPUT": "1024"}


def spenders(count: int) -> Playbook:
    """Workers that look at one thing after another and never hand off."""
    rounds = range(0, count, 100)
    titles = [f"Spend {index}" for index in range(count)]
    root = PlannerScript(
        scope="root",
        calls=(
            *(step(use("spawn_tasks", tasks=asked(titles[at : at + 100], f"made{at}"))) for at in rounds),
            step(use("wait")),
            done(after_handoffs=count, optional=True),
        ),
    )
    calls: tuple[Step, ...] = tuple(
        step(use("grep", pattern=f"nothing {number}"), tokens=CALL, optional=True) for number in range(CALLS)
    )
    return Playbook(name="spenders", planners=(root,), tasks=tuple(TaskScript(title=t, calls=calls) for t in titles))


async def spent(site: Machine, run: str) -> tuple[int, int]:
    """Tokens and micro-dollars of every answer that is in a log."""

    def summed() -> tuple[int, int]:
        agents = site.store.agents(RunName(run))
        paid = [e.data for agent in agents for e in site.store.all_events(agent) if e.type == "llm.response"]
        return sum(data["tokens"] for data in paid), sum(data["micro_usd"] for data in paid)

    return await asyncio.to_thread(summed)


def processes(site: Machine, run: str) -> set[int]:
    """The processes that had a task in hand."""
    events = [event for agent in site.store.agents(RunName(run)) for event in site.store.all_events(agent)]
    return {event.data["pid"] for event in events if event.type == "agent.lease" and event.role == "worker"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bound", ["tokens", "usd"])
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
async def test_agents_that_spend_as_fast_as_they_can_stay_within_the_limit_in_two_processes(
    home: Path, small_repository: Path, bound: str, count: int
) -> None:
    limits: dict[str, Any] = {"open_tasks": count, "task_tokens": 110_000, "task_usd": 0.6, "tokens": 10**9, "usd": 9e5}
    limits[bound] = {"tokens": 40_000 * count + 300_000, "usd": 0.08 * count + 0.5}[bound]
    models = {role: {"price": PRICE} for role in ("planner", "worker")}
    async with machine(home, small_repository, spenders(count), agents=count // 2, env=WINDOW) as site:
        known = site.supervisor._running["agents"].child
        await site.supervisor.start(dataclasses.replace(known, name="agents-2"))
        second = site.home / "logs" / "agents-2.log"
        while not second.exists() or ": ready" not in second.read_text():  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.05)
        run = await site.start("spend", limits=limits, models=models)
        async with asyncio.timeout(400):
            while (status := await run.query("status"))["phase"] != "hold":  # noqa: ASYNC110 - the server tells when asked
                await asyncio.sleep(0.5)
        tokens, micro_usd = await spent(site, "spend")
        assert tokens <= limits["tokens"]
        assert micro_usd <= limits["usd"] * MICRO
        share = tokens / limits["tokens"] if bound == "tokens" else micro_usd / limits["usd"] / MICRO
        assert share > 0.4, "it was the limit that stopped them"
        assert f"--{bound}" in " ".join(status["notes"])
        assert len(await asyncio.to_thread(processes, site, "spend")) == 2
        await run.cancel()
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(run.result(), 120)
        assert await spent(site, "spend") == (tokens, micro_usd), "who holds makes no call"
