"""kill -9 of worker processes, of the server, and of both, at any moment of a run: nothing is lost or done twice."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from headway.host.worker_roles import ROLES
from tests.chaos.fleets import Fleet, three_levels
from tests.chaos.proofs import (
    commands,
    ended,
    prove_handed_off_once,
    prove_landed_once,
    prove_paid_once,
    until_closed,
)
from tests.support.site import SERVER, Machine, machine

VICTIMS: tuple[tuple[str, ...], ...] = (
    ("agents",),
    (SERVER,),
    ("planning",),
    (SERVER, *ROLES),
    ("workflows",),
    ROLES,
)


def moments(fleet: Fleet, kills: int, seed: int) -> list[tuple[int, tuple[str, ...]]]:
    """When, in requests that the model server got, and who is killed; the same for the same seed."""
    # Each task asks five times and each planner at least three times.
    least = 5 * len(fleet.paths) + 3 * fleet.planners
    draw = random.Random(seed)
    when = sorted(draw.sample(range(2, least - 5), kills))
    order = [VICTIMS[index % len(VICTIMS)] for index in range(kills)]
    draw.shuffle(order)
    return list(zip(when, order, strict=True))


async def kill_all(site: Machine, plan: list[tuple[int, tuple[str, ...]]]) -> None:
    """Carry out the kills as their moments come."""
    for when, victims in plan:
        await site.until_requests(when)
        for name in victims:
            site.kill(name)


async def survive(home: Path, repository: Path, fleet: Fleet, *, kills: int, agents: int, seed: int) -> None:
    """Run the fleet through the kills and prove that it came out as if there had been none."""
    plan = moments(fleet, kills, seed)
    in_flight = agents + fleet.planners
    async with machine(home, repository, fleet.playbook, agents=agents) as site:
        began = time.monotonic()
        run = await site.start("chaos", check=fleet.check)
        result = asyncio.ensure_future(ended(run, 900))
        killing = asyncio.create_task(kill_all(site, plan))
        report = await result
        assert killing.done(), f"the run ended before all kills: {plan}"
        took = time.monotonic() - began
        assert report["outcome"] == "done"
        prove_handed_off_once(site, "chaos", len(fleet.paths) + fleet.planners)
        prove_landed_once(site, "chaos", len(fleet.paths))
        repeated = prove_paid_once(site, "chaos", in_flight * kills)
        # A task whose worker process was killed while it closed has handed off already, and closes when it is back.
        await until_closed(site, "chaos", 60)
        assert commands(site) == []
        assert site.rehearsal.problems() == []
    print(f"seed {seed}: {kills} kills, {took:.0f} s, {repeated} calls repeated of at most {in_flight * kills}")


async def test_kills_of_every_kind_lose_and_repeat_nothing(home: Path, small_repository: Path) -> None:
    fleet = three_levels("kills", halves=2, quarters=1, tasks=(2, 1, 4), latency_ms=60)
    await survive(home, small_repository, fleet, kills=6, agents=8, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_kills_at_twenty_moments_of_forty_tasks_in_three_levels(
    home: Path, small_repository: Path, seed: int
) -> None:
    fleet = three_levels("kills", halves=2, quarters=2, tasks=(2, 3, 8), latency_ms=100)
    assert len(fleet.paths) == 40
    await survive(home, small_repository, fleet, kills=20, agents=12, seed=seed)
