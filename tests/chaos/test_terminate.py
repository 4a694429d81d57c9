"""What only an operator does: terminate at every level, reset of a task at work, pause and reset of its activity."""

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from headway.domain.handoff import Handoff, HandoffStatus
from headway.domain.ids import AgentId
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import HandedOff
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from tests.chaos.fleets import HOLDER, INSIDE, SHARED, UNTIL_RELEASED, blocking, release, until_marked
from tests.chaos.operator import reset, root_of, stock, titled, until_phase, was_told
from tests.chaos.proofs import commands, ended, prove_hub_whole, prove_landed_once, statuses, until_closed
from tests.support.playbooks import done, step, use
from tests.support.site import Machine, machine, shared_machine
from tests.support.waiting import until

FOUND = "its workflow was found terminated"


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with shared_machine(tmp_path_factory.mktemp("machine"), audit_s=2) as site:
        yield site


def asked(*titles: str) -> dict[str, Any]:
    """The arguments of a spawn of tasks."""
    return {"tasks": [{"title": title, "intent": f"Do {title}."} for title in titles]}


def handoff_of(site: Machine, agent: AgentId) -> Handoff:
    """The agent's one handoff."""
    ends = list(bodies(site.store.read(agent), HandedOff))
    assert len(ends) == 1
    return ends[0].handoff


def with_victims() -> Playbook:
    """A root planner with two tasks and a sub-planner with two; the tasks wait to be released."""
    root = PlannerScript(
        scope="root",
        calls=(
            step(
                use("spawn_subplanner", scope="Lower", intent="Everything lower."),
                use("spawn_tasks", **asked("One", "Two")),
                use("wait"),
            ),
            done("Two of three.", after_handoffs=3),
            done("Still so."),
        ),
    )
    lower = PlannerScript(
        scope="Lower",
        calls=(step(use("spawn_tasks", **asked("Three", "Four")), use("wait")), done(after_handoffs=2), done("Still.")),
    )
    script = blocking()
    tasks = tuple(script(title, f"made/{title}.py") for title in ("One", "Two", "Three", "Four"))
    return Playbook(name="victims", planners=(root, lower), tasks=tasks)


async def test_a_terminated_task_and_sub_planner_are_told_as_failed_and_the_rest_goes_on(
    shared: Machine, small_repository: Path
) -> None:
    with shared.playing(small_repository, with_victims()) as site:
        run = await site.start("victims", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "victims", 4)
        [task], [lower] = titled(site, "victims", "One"), titled(site, "victims", "Lower")
        for agent in (task, lower):
            await site.client.get_workflow_handle(agent).terminate("by the operator")
        await until(lambda: was_told(site, "victims", task) and was_told(site, "victims", lower))
        release(site, "victims")
        report = await ended(run, 60)
        await until_closed(site, "victims", 60)
        assert report["outcome"] == "done_unproven"
        for agent in (task, lower):
            handoff = handoff_of(site, agent)
            assert handoff.report.status is HandoffStatus.FAILED
            assert FOUND in handoff.report.summary
        ends = statuses(site, "victims")
        assert [ends[title] for title in ("Two", "Three", "Four")] == [[HandoffStatus.DONE]] * 3, (
            "also without a planner"
        )
        prove_landed_once(site, "victims", 3)
        assert commands(site) == []


def twice_planned() -> Playbook:
    """A root planner with a task and a sub-planner with one; each task's file is its process's own."""
    root = PlannerScript(
        scope="root",
        calls=(
            step(
                use("spawn_subplanner", scope="Lower", intent="Everything lower."),
                use("spawn_tasks", **asked("Upper task")),
                use("wait"),
            ),
            done(after_handoffs=2),
            done("Still done."),
        ),
    )
    lower = PlannerScript(
        scope="Lower",
        calls=(step(use("spawn_tasks", **asked("Lower task")), use("wait")), done(after_handoffs=1), done("Still.")),
    )
    line = f"me={HOLDER}; touch {INSIDE}/$me; {UNTIL_RELEASED}; mkdir -p made; echo x > made/$me.py"
    calls = (step(use("shell", command=line)), step(use("land", message="Land it.")), done())
    tasks = tuple(TaskScript(title=title, calls=calls) for title in ("Upper task", "Lower task"))
    return Playbook(name="twice", planners=(root, lower), tasks=tasks)


async def test_a_terminated_root_planner_parks_the_run_until_its_user_lets_it_go_on(
    shared: Machine, small_repository: Path
) -> None:
    with shared.playing(small_repository, twice_planned()) as site:
        run = await site.start("rooted", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "rooted", 2)
        root = root_of(site, "rooted")
        [lower], [lower_task] = titled(site, "rooted", "Lower"), titled(site, "rooted", "Lower task")
        await site.client.get_workflow_handle(root).terminate("by the operator")
        status = await until_phase(run, "needs_attention")
        assert any("the root planner failed" in note for note in status["notes"])
        assert FOUND in handoff_of(site, root).report.summary
        # What is below it goes on beside the next root planner, and the run waits for it.
        order = {"request": "r1", "target": "rooted", "who": "a test", "why": "go on"}
        assert "another root planner" in await run.execute_update("resume", order)
        await until_marked(site, "rooted", 4)
        release(site, "rooted")
        report = await ended(run, 60)
        await until_closed(site, "rooted", 60)
        assert report["outcome"] == "done_unproven"
        assert report["spent"]["tasks"] == 4, "what was below the terminated planner was used up, too"
        for agent in (lower, lower_task):
            assert handoff_of(site, agent).report.status is HandoffStatus.DONE
        ends = statuses(site, "rooted")
        assert ends["Upper task"] == [HandoffStatus.DONE] * 2, "the one of the terminated root, and the one asked again"
        assert ends["Lower task"] == [HandoffStatus.DONE] * 2
        prove_landed_once(site, "rooted", 4)


HOLDERS = "holders.txt"


def holder() -> Playbook:
    """One task whose commands write down, all the time, which process holds the workspace."""
    line = (
        f"me={HOLDER}; touch {INSIDE}/$me; "
        f"while [ ! -e {INSIDE}/release ]; do echo $me >> {HOLDERS}; sleep 0.02; done; : "
    )
    commands_of_it = tuple(step(use("shell", command=line + str(n))) for n in range(8))
    task = TaskScript(title="Hold", calls=(*commands_of_it, step(use("land", message="Holders")), done()))
    root = PlannerScript(
        scope="root",
        calls=(step(use("spawn_tasks", **asked("Hold")), use("wait")), done(after_handoffs=1), done("Still done.")),
    )
    return Playbook(name="holder", planners=(root,), tasks=(task,))


async def activity_id(site: Machine, task: AgentId) -> str:
    """The id of the `run_worker` that is scheduled or at work."""
    while True:
        found = (await site.client.get_workflow_handle(task).describe()).raw_description.pending_activities
        if found:
            return str(found[0].activity_id)
        await asyncio.sleep(0.1)


def prove_one_holder_at_a_time(site: Machine, run: str, task: AgentId, holders: int) -> None:
    """In the log leases only rise; in the file a process that was followed by another never writes again."""
    leases = [event.lease for event in site.store.all_events(task)]
    assert leases == sorted(leases)
    assert len(set(leases)) >= holders
    wrote = [pid for pid, _ in groupby(site.hub(run).read_file("main", HOLDERS).decode().split())]
    assert len(wrote) == len(set(wrote)), f"two wrote at the same time: {wrote[:20]}"
    assert len(wrote) >= holders


async def test_no_two_holders_of_a_workspace_write_when_a_task_or_its_activity_is_reset_at_work(
    home: Path, small_repository: Path
) -> None:
    # A long heartbeat: the earlier holder hears of its end from the service only after ten seconds.
    async with machine(home, small_repository, holder(), heartbeat_s=30) as site:
        run = await site.start("holder", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "holder", 1)
        [task] = titled(site, "holder", "Hold")
        await reset(site, task, 4)
        await until_marked(site, "holder", 2)
        await reset(site, task, 4)
        await until_marked(site, "holder", 3)
        activity = ("-w", task, "-a", await activity_id(site, task))
        await stock(site, "activity", "reset", *activity)
        await until_marked(site, "holder", 4)
        await stock(site, "activity", "pause", *activity)
        await until(lambda: commands(site) == [], every_s=0.1)
        await stock(site, "activity", "unpause", *activity)
        await until_marked(site, "holder", 5)
        release(site, "holder")
        report = await ended(run, 60)
        assert report["outcome"] == "done_unproven"
        prove_one_holder_at_a_time(site, "holder", task, 5)
        prove_landed_once(site, "holder", 1)
        prove_hub_whole(site, "holder")
        assert len(site.handoffs("holder")[task]) == 1
