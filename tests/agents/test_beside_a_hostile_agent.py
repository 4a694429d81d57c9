"""Honest agents notice nothing of a hostile one beside them, and their process stays small.

The fleet is a process of its own, and so is its model; see `hostile_fleet`. How long an honest agent takes from a reply
to its next request depends on the machine. So steps that begin while the hostile agent works are compared with those of
the same fleet that begin while it rests: it works and rests in turn, for a second or longer each. The latter make up
two samples, of which the worse one counts: on a busy machine two samples of the same differ as well. How long threads
are held up is measured in processor time of the fleet's process alone.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from tests.agents.hostile_fleet import WAYS

MEMORY_MB = 500
DELAY_S = 0.1
HELD_MS = 100.0
SPELLS = ("beside", "apart", "again")
LEAST_STEPS = 500
"""Steps of each kind, so that a hundredth of them is no single one."""
FLEET = (sys.executable, "-m", "tests.agents.hostile_fleet")
ROOT = Path(__file__).parents[2]


@contextmanager
def model(agents: int, steps: int, think_s: float, attacks: str) -> Iterator[str]:
    """The address of a model."""
    command = [*FLEET, "serve", str(agents), str(steps), str(think_s), attacks]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


def fleet(agents: int, steps: int, think_s: float, attacks: str) -> dict[str, Any]:
    """What a fleet said at its end, with what its model heard."""
    with model(agents, steps, think_s, attacks) as url:
        command = [*FLEET, "fleet", url, str(agents)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        with urllib.request.urlopen(f"{url}/stats") as answer:
            heard = json.loads(answer.read())
    found = json.loads(done.stdout) | {name: told for name, told in heard.items() if name not in SPELLS}
    for kind in SPELLS:
        cuts = quantiles(heard[kind], n=100) if len(heard[kind]) > 1 else [0.0] * 99
        found[kind] = {"steps": len(heard[kind]), "p50": cuts[49], "p99": cuts[98]}
    print(json.dumps(found))
    return dict(found)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_prints_what_stopped_a_machine_holds_up_no_thread() -> None:
    found = fleet(agents=8, steps=5, think_s=0.2, attacks="prints")
    assert found["ends"] == {"done": 8}
    assert found["hostile"], "it has handed off as well"
    assert found["hostile_calls"] > WAYS
    assert found["thread_ms"] < HELD_MS
    assert found["mb_peak"] < MEMORY_MB


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("attacks", ["prints", "everything"])
def test_three_hundred_agents_notice_nothing_of_a_hostile_one(attacks: str) -> None:
    found = fleet(agents=300, steps=15, think_s=8.0, attacks=attacks)
    assert found["ends"] == {"done": 300}
    assert found["hostile"], "it has handed off as well"
    assert found["mb_peak"] < MEMORY_MB
    assert found["thread_ms"] < HELD_MS
    beside, *rests = (found[kind] for kind in SPELLS)
    assert min(found[kind]["steps"] for kind in SPELLS) >= LEAST_STEPS
    for part in ("p50", "p99"):
        assert beside[part] - max(rest[part] for rest in rests) < DELAY_S
