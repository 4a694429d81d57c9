"""A run of hundreds of agents on one screen of 80x24, read by its labels alone, beside what logs and hub say."""

import asyncio
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from headway.domain.ids import RunName
from headway.rehearsal.generator import generate
from headway.rehearsal.shape import Shape
from tests.support.command import headway
from tests.support.events import conflicted
from tests.support.site import Machine, machine
from tests.support.terminal import labelled, on_terminal

SHAPE = Shape(
    tasks=300, levels=3, subplanners=4, hot=0.2, files=2, commands=4, command_s=2.0, failed=0.05, latency_ms=(200, 2000)
)
PRICES = {"planner": {"price": {"input": 2, "output": 10}}, "worker": {"price": {"input": 0.5, "output": 2}}}
NAME = "fleet"


def known(site: Machine) -> dict[str, int]:
    """What logs and hub say: the screen is never consulted."""
    events = [event for agent in site.store.agents(RunName(NAME)) for event in site.store.read(agent)]
    conflicts = sum(map(conflicted, events))
    return {"commits": len(site.landed(NAME)), "conflicts": conflicts, "agents": len(site.handoffs(NAME))}


def assert_tells(text: str, before: dict[str, int], after: dict[str, int]) -> None:
    """Each question of a user has its answer, and the answer is true."""
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(cell_len(line) for line in lines) <= 80
    assert re.match(rf"{NAME}: running · \d+:\d\d elapsed", lines[0] if lines[0].startswith(NAME) else lines[1])
    found = labelled(text)
    # What is it doing? Each of the agents that are shown has an id that commands take, a title, and its step.
    assert re.search(
        r"^(root|\d+\.\d+\S*) .*: .*(running `|planning|thinking|writing|landing) ?", found["now"], re.MULTILINE
    )
    assert re.search(r"and \d+ more agents working or waiting", found["now"])
    total = int(found["agents"].partition(":")[0])
    assert before["agents"] <= total <= SHAPE.tasks + SHAPE.planners
    # What is stuck, and why?
    assert re.search(r"is paused by \S+: lunch; `headway resume fleet", found["stuck"])
    assert re.search(r": failed: ", found["ended"])
    # What did it cost? What landed? What conflicts? How fast?
    cost = re.match(r"\S+ of \S+ tokens, \$\d+\.\d\d of \$200\.00 \(planners \$\d+\.\d\d, wo", found["cost"])
    assert cost, found["cost"]
    landed = re.match(r"(\d+) commits? by \d+ tasks?, newest \d+:\d\d ago: [0-9a-f]{7} ", found["landed"])
    assert landed, found["landed"]
    assert before["commits"] <= int(landed[1]) <= after["commits"]
    conflicts = re.match(r"\d+ open(?: \(.*\))?, (\d+) in all", found["conflicts"])
    assert conflicts, found["conflicts"]
    assert before["conflicts"] <= int(conflicts[1]) <= after["conflicts"]
    assert re.match(r"\d+\.\d commits a minute, \S+ tokens a minute, \$[\d,.]+ an hour", found["rate"])


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_three_hundred_agents_are_one_screen_that_answers_and_is_true(home: Path, small_repository: Path) -> None:
    async with machine(home, small_repository, generate(SHAPE), agents=32) as site:
        env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
        limits = {"tokens": 200_000_000, "usd": 200}
        run = await site.start(NAME, models=PRICES, limits=limits)
        await site.until_requests(1)
        while (now := await asyncio.to_thread(known, site))["commits"] < 40 or not now["conflicts"]:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(1)
        assert (await headway(home, "pause", NAME, "1.0", "--why", "lunch", **env)).code == 0
        while "failed" not in {said.report.status for each in site.handoffs(NAME).values() for said in each}:  # noqa: ASYNC110
            await asyncio.sleep(1)
        for more in ((), ("--watch",)):
            before = await asyncio.to_thread(known, site)
            text = await on_terminal(home, env, "status", NAME, *more, until=lambda seen: "events" in seen)
            print(text)
            assert_tells(text, before, await asyncio.to_thread(known, site))
        await headway(home, "resume", NAME, "1.0", **env)
        report = await asyncio.wait_for(run.result(), 600)
        assert report["outcome"] in {"done_unproven", "partial"}
        ended = await on_terminal(home, env, "status", NAME)
        assert f"{report['commits']} commits by " in ended
