"""A planner that asks for many tasks in one call and is told all their handoffs in one message."""

import asyncio
import re
from pathlib import Path

import psutil
import pytest

from headway.domain.headings import handoffs_in
from headway.domain.ids import AgentId
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import bodies
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from tests.chaos.fleets import INSIDE, SHARED, release
from tests.support.playbooks import asked, done, step, use
from tests.support.site import Machine, machine
from tests.support.terminal import labelled, on_terminal

LARGEST = 32_000
WAITS = f"while [ ! -e {INSIDE}/release ]; do sleep 1; done"


def crowd(count: int) -> Playbook:
    """Every worker lands one file and then waits for the others, so that all hand off at once."""
    titles = [f"Write part {index} of{' many' * 20}" for index in range(count)]
    root = PlannerScript(
        scope="root",
        calls=(
            step(use("spawn_tasks", tasks=asked(titles, "made")), use("wait")),
            done(after_handoffs=count),
            done("Still done."),
        ),
    )
    tasks = tuple(
        TaskScript(
            title=title,
            calls=(
                step(
                    use("write_file", path=f"made/{index}.py", content="a = 1\n"),
                    use("land", message="Write."),
                    use("shell", command=WAITS),
                ),
                done("It is written. " * 50),
            ),
        )
        for index, title in enumerate(titles)
    )
    return Playbook(name="hundred", planners=(root,), tasks=tasks)


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.long)])
async def test_all_tasks_of_one_call_land_and_are_told_in_one_message_that_fits(
    home: Path, small_repository: Path, count: int
) -> None:
    async with machine(home, small_repository, crowd(count), agents=count) as site:
        # With the default one the last tasks would wait for a slice of the budget until others give theirs back.
        more = {"limits": {"tokens": 100_000_000}, "policy": SHARED}
        run = await site.start("hundred", check=f"test $(ls made | wc -l) = {count}", **more)
        await site.until_requests(1)
        async with asyncio.timeout(120):
            while await asyncio.to_thread(landed, site) < count:  # noqa: ASYNC110 - commits of other processes
                await asyncio.sleep(0.2)
        assert handed(site) == 0
        await assert_one_screen(site, count)
        # Nobody is told before all have handed off: on a slow machine that takes longer than a planner gathers for.
        flows = psutil.Process(site.supervisor.pid("workflows"))
        flows.suspend()
        release(site, "hundred")
        try:
            async with asyncio.timeout(120):
                while await asyncio.to_thread(handed, site) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
        finally:
            flows.resume()
        report = await asyncio.wait_for(run.result(), 120)
        assert site.rehearsal.problems() == []
        assert (report["outcome"], report["commits"], report["handoffs"]) == ("done", count, {"done": count})
        root = next(agent for agent in site.handoffs("hundred") if agent.count("/") == 1)
        told = [message.text for message in bodies(site.store.read(root), Message)]
        assert max(len(handoffs_in(text)) for text in told) == count
        assert sum(len(handoffs_in(text)) for text in told) == count
        assert max(await sizes(site, root)) <= LARGEST


async def assert_one_screen(site: Machine, count: int) -> None:
    """A terminal of 80x24 tells what so many agents with long titles are at. The long form has three hundred."""
    env = {"TEMPORAL_ADDRESS": site.client.service_client.config.target_host}
    text = await on_terminal(site.home, env, "status", "hundred")
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    found = labelled(text)
    assert re.match(rf"{count} commits by {count} tasks, newest \d+:\d\d ago: ", found["landed"])
    assert re.match(rf"{count + 1}: {count} working, 1 \w+", found["agents"])
    at_work = r"^1\.\d+ Write part \d+ of many.*: running `while \[ .*\d:\d\d \S+ tokens$"
    assert re.search(at_work, found["now"], re.MULTILINE), found["now"]
    assert re.search(r"^and \d+ more agents working or waiting$", found["now"], re.MULTILINE)
    assert (found["stuck"], found["conflicts"]) == ("nothing", "none")


def landed(site: Machine) -> int:
    """Commits on the run's trunk."""
    return len(site.landed("hundred"))


def handed(site: Machine) -> int:
    """Handoffs that are in their agents' logs."""
    return sum(map(len, site.handoffs("hundred").values()))


async def sizes(site: Machine, agent: AgentId) -> list[int]:
    """Bytes of every argument and result of an activity that an agent's history holds."""
    found = []
    for event in (await site.client.get_workflow_handle(agent).fetch_history()).events:
        found.append(event.activity_task_completed_event_attributes.result.ByteSize())
        found.append(event.activity_task_scheduled_event_attributes.input.ByteSize())
    return found
