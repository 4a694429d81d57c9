"""Cancel of a three-level tree whose agents sit in commands: down within seconds, and nothing written is lost."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from headway.domain.handoff import HandoffStatus
from tests.chaos.fleets import SHARED, Fleet, blocking, three_levels, until_marked
from tests.chaos.proofs import commands, prove_hub_whole, prove_one_handoff_each, statuses, until_closed
from tests.support.repositories import git
from tests.support.site import SERVER, Machine, machine
from tests.support.stopwatch import Stopwatch


def prove_kept(site: Machine, run: str, fleet: Fleet) -> None:
    """What each task had written stands on its ref."""
    hub = site.hub(run).folder
    handoffs = [said[-1] for said in site.handoffs(run).values() if said[-1].title in fleet.paths]
    for handoff in handoffs:
        files = git("--git-dir", str(hub), "ls-tree", "-r", "--name-only", f"refs/headway/wip/{handoff.agent}").split()
        assert fleet.paths[handoff.title] in files
    assert len(handoffs) == len(fleet.paths)


def prove_cancelled(site: Machine, run: str, fleet: Fleet) -> None:
    """Every task handed off as cancelled, with what it had written, and nothing of it runs."""
    ends = statuses(site, run)
    assert {title: ends[title] for title in fleet.paths} == {title: [HandoffStatus.CANCELLED] for title in fleet.paths}
    prove_one_handoff_each(site, run, len(fleet.paths) + fleet.planners)
    prove_kept(site, run, fleet)
    prove_hub_whole(site, run)
    assert commands(site) == []


async def cancel_tree(home: Path, repository: Path, fleet: Fleet, *, agents: int, within_s: float) -> None:
    """Cancel the fleet when all its tasks sit in a command; prove that it is down in time, and how."""
    # The heartbeat is as long as users have it: a short one would bring the cancel to agents sooner.
    async with machine(home, repository, fleet.playbook, agents=agents, heartbeat_s=60) as site:
        # Enough for the first slices of all tasks at once.
        run = await site.start("cancel", policy=SHARED, limits={"command_seconds": 900, "tokens": 200_000_000})
        await until_marked(site, "cancel", len(fleet.paths))
        assert len(commands(site)) >= len(fleet.paths)
        watch = Stopwatch()
        await run.cancel()
        await until_closed(site, "cancel", 120)
        took = watch.seconds()
        assert commands(site) == []
        print(f"{len(fleet.paths)} tasks: everything down {took:.1f} s after the cancel")
        assert took < within_s
        with pytest.raises(WorkflowFailureError):
            await run.result()
        assert (await run.describe()).status is WorkflowExecutionStatus.CANCELED
        prove_cancelled(site, "cancel", fleet)
    for log in (home / "logs").iterdir():
        assert "never retrieved" not in log.read_text(), "a cancel is no fault of the program"


async def test_cancel_of_twelve_tasks_in_three_levels(home: Path, small_repository: Path) -> None:
    fleet = three_levels("cancel", halves=2, quarters=1, tasks=(2, 1, 4), worker=blocking("sleep 600"))
    await cancel_tree(home, small_repository, fleet, agents=16, within_s=30)


async def test_a_cancel_is_carried_out_through_a_kill_of_the_agents_and_the_server(
    home: Path, small_repository: Path
) -> None:
    fleet = three_levels("cancel", halves=1, quarters=1, tasks=(1, 1, 2), worker=blocking("sleep 600"))
    async with machine(home, small_repository, fleet.playbook) as site:
        run = await site.start("cancel", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "cancel", len(fleet.paths))
        await run.cancel()
        for name in (SERVER, "agents"):
            site.kill(name)
        await until_closed(site, "cancel", 60)
        async with asyncio.timeout(60):
            while commands(site):  # noqa: ASYNC110 - the process that was started again tries its walls with some
                await asyncio.sleep(0.1)
        prove_cancelled(site, "cancel", fleet)


@pytest.mark.long
async def test_cancel_of_sixty_tasks_in_three_levels_takes_fifteen_seconds(home: Path, small_repository: Path) -> None:
    fleet = three_levels("cancel", halves=2, quarters=2, tasks=(4, 4, 12), worker=blocking("sleep 600"))
    assert len(fleet.paths) == 60
    await cancel_tree(home, small_repository, fleet, agents=64, within_s=15)
