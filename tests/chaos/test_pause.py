"""Pause at once: no command runs and no model is asked, through any kill, until the run is resumed."""

import asyncio
import time
from pathlib import Path

from headway.host.worker_roles import ROLES
from tests.chaos.fleets import SHARED, blocking, release, three_levels, until_marked
from tests.chaos.proofs import commands, ended, prove_handed_off_once, prove_landed_once, prove_paid_once, until_closed
from tests.support.site import SERVER, Machine, machine
from tests.support.waiting import until


async def prove_quiet(site: Machine, seconds: float) -> None:
    """Nothing happens: there is no condition to wait for, so it is looked at for a while."""
    before = site.rehearsal.report()["requests"]
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        assert commands(site) == []
        await asyncio.sleep(0.2)
    assert site.rehearsal.report()["requests"] == before


async def polled_again(site: Machine, before: dict[str, int | None]) -> None:
    """Return when the killed processes are up again, their sandbox is tried out, and the run's workflow answers."""
    await until(lambda: all(site.supervisor.pid(name) not in {None, pid} for name, pid in before.items()))
    said = {role: site.home / "logs" / f"{role}.log" for role in ROLES}
    await until(lambda: all(log.read_text().count(f"{role}: ready") == 2 for role, log in said.items()))
    async with asyncio.timeout(60):
        while True:
            try:
                await site.client.get_workflow_handle("paused").query("status")
            except Exception:  # noqa: BLE001 - whatever a service or a worker says that is not up yet
                await asyncio.sleep(0.2)
            else:
                return


async def test_a_run_paused_at_once_is_quiet_through_kills_and_finishes_when_it_is_resumed(
    home: Path, small_repository: Path
) -> None:
    fleet = three_levels("pause", halves=1, quarters=1, tasks=(2, 1, 2), worker=blocking())
    async with machine(home, small_repository, fleet.playbook, heartbeat_s=10) as site:
        run = await site.start("paused", policy=SHARED, limits={"command_seconds": 900})
        await until_marked(site, "paused", 5)
        began = time.monotonic()
        order = {"request": "r1", "target": "paused", "who": "a test", "why": "look", "now": True}
        assert "at once" in await run.execute_update("pause", order)
        await until(lambda: commands(site) == [], within_s=20, every_s=0.1)
        print(f"no command runs {time.monotonic() - began:.1f} s after the pause")
        await prove_quiet(site, 3)
        before = {name: site.supervisor.pid(name) for name in (SERVER, *ROLES)}
        for name in before:
            site.kill(name)
        await polled_again(site, before)
        await prove_quiet(site, 3)
        release(site, "paused")
        resume = {"request": "r2", "target": "paused", "who": "a test", "why": "seen"}
        assert "is resumed" in await run.execute_update("resume", resume)
        report = await ended(run, 80)
        await until_closed(site, "paused", 10)
        assert report["outcome"] == "done_unproven"
        prove_handed_off_once(site, "paused", len(fleet.paths) + fleet.planners)
        prove_landed_once(site, "paused", len(fleet.paths))
        prove_paid_once(site, "paused", len(fleet.paths) + fleet.planners)
        assert commands(site) == []
