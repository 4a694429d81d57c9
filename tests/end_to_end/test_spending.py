"""Agents that spend as fast as they can, in two worker processes: all together they stay within the run's limits."""

import asyncio
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from headway.domain.ids import RunName
from headway.domain.state.budget import MICRO
from headway.eventlog.events.envelope import only
from headway.eventlog.events.life import AgentLease
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, Tokens
from tests.support.playbooks import asked, done, step, use
from tests.support.site import Machine, machine

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


@dataclass(frozen=True)
class Paid:
    """Tokens and micro-dollars."""

    tokens: int = 0
    micro_usd: int = 0

    def __add__(self, other: "Paid") -> "Paid":
        return Paid(self.tokens + other.tokens, self.micro_usd + other.micro_usd)


def events_in(site: Machine, run: str) -> list[dict[str, Any]]:
    """The events of all logs as they lie on the disk, in the order in which they were written."""
    paths = (site.store.run_folder(RunName(run)) / "logs").rglob("*.jsonl")
    events = [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n")[:-1]]
    return sorted(events, key=lambda event: event["ts"])


def spent(events: list[dict[str, Any]]) -> tuple[Paid, Paid]:
    """What answered and cut off calls cost, and the most that was ever paid or set aside at one moment.

    Apart from the product's arithmetic. A call is cut off when its asker is gone: the server may have answered it.
    """
    settled, aside, most = Paid(), dict[str, Paid](), Paid()
    for event in events:
        agent, data = event["agent"], event["data"]
        match event["type"]:
            case "llm.request":
                settled += aside.pop(agent, Paid())
                aside[agent] = Paid(data["reserved"]["tokens"], data["reserved"]["micro_usd"])
            case "llm.response":
                del aside[agent]
                settled += Paid(data["tokens"], data["micro_usd"])
            case "llm.retry":
                settled += aside.pop(agent) if data["cut_off"] else Paid()
                aside.pop(agent, None)
            case "agent.lease" | "handoff":
                settled += aside.pop(agent, Paid())
        now = sum(aside.values(), settled)
        most = Paid(max(most.tokens, now.tokens), max(most.micro_usd, now.micro_usd))
    return settled, most


def processes(site: Machine, run: str) -> set[int]:
    """The processes that had a task in hand."""
    events = [event for agent in site.store.agents(RunName(run)) for event in site.store.all_events(agent)]
    return {event.body.pid for event in only(events, AgentLease) if event.role == "worker"}


async def hold(run: WorkflowHandle[Any, Any], bound: str, ceiling: Paid) -> None:
    """Return when the run holds at a limit; what it is shown to have spent is within all of them until then."""
    while (status := await run.query("status"))["phase"] != "hold":
        assert status["spent"]["tokens"] <= ceiling.tokens
        assert round(status["spent"]["usd"] * MICRO) <= ceiling.micro_usd
        await asyncio.sleep(0.5)
    assert f"--{bound}" in " ".join(status["notes"])


async def never_passed(site: Machine, run: str, ceiling: Paid) -> Paid:
    """Assert that at no moment more was paid or set aside than the run may use; what it paid."""
    paid, most = await asyncio.to_thread(lambda: spent(events_in(site, run)))
    assert most.tokens <= ceiling.tokens
    assert most.micro_usd <= ceiling.micro_usd
    asked = site.rehearsal.report()["requests"]
    assert asked * 2_000 <= ceiling.tokens, "nor do the calls that the server took, each of which it bills"
    assert asked * 11_000 <= ceiling.micro_usd
    return paid


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.long)])
async def test_agents_that_spend_as_fast_as_they_can_stay_within_the_limits_in_two_processes(
    home: Path, small_repository: Path, count: int
) -> None:
    """First of tokens, then of dollars.

    One process is killed in the middle of its calls, which count as paid: the server answers them all the same.
    """
    tokens, usd = 40_000 * count + 300_000, 0.45 * count + 0.5
    limits = {"open_tasks": count, "task_tokens": 110_000, "task_usd": 0.6, "tokens": tokens, "usd": usd}
    models = {role: {"price": PRICE} for role in ("planner", "worker")}
    async with machine(home, small_repository, spenders(count), agents=count // 2, env=WINDOW) as site:
        known = site.supervisor._running["agents"].child
        await site.supervisor.start(dataclasses.replace(known, name="agents-2"))
        second = site.home / "logs" / "agents-2.log"
        async with asyncio.timeout(60):
            while not second.exists() or "ready" not in second.read_text():  # noqa: ASYNC110 - another process tells
                await asyncio.sleep(0.05)
        run = await site.start("spend", limits=limits, models=models)
        await site.until_requests(4 * count)
        site.kill("agents")
        async with asyncio.timeout(600):
            ceiling = Paid(tokens, round(usd * MICRO))
            await hold(run, "tokens", ceiling)
            paid = await never_passed(site, "spend", ceiling)
            assert paid.tokens > 0.4 * ceiling.tokens, "it was the limit that stopped them"
            assert len(await asyncio.to_thread(processes, site, "spend")) >= 2
            await run.execute_update("set_limits", {"request": "more", "tokens": 10**9})
            ceiling = Paid(10**9, ceiling.micro_usd)
            await hold(run, "usd", ceiling)
            assert (await never_passed(site, "spend", ceiling)).micro_usd > 0.4 * ceiling.micro_usd
        await run.cancel()
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(run.result(), 120)
        await never_passed(site, "spend", ceiling)
