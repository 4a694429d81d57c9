"""Honest agents notice nothing of a hostile one beside them, and their process stays small.

Each fleet is a process of its own with a model of its own; see `hostile_fleet`. In the long form two fleets, one with a
hostile agent, run at the same time: so whatever else this machine does, it does to both.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from tests.agent.hostile_fleet import ATTACKS, PRINTS

MEMORY_MB = 500
DELAY_S = 0.1
HELD_MS = 100.0
FLEET = (sys.executable, "-m", "tests.agent.hostile_fleet")
ROOT = Path(__file__).parents[2]


@contextmanager
def model(steps: int, think_s: float, attacks: int) -> Iterator[str]:
    """The address of a model."""
    command = [*FLEET, "serve", str(steps), str(think_s), str(attacks)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


def fleets(kinds: Sequence[str], agents: int, steps: int, think_s: float, attacks: int) -> list[dict[str, Any]]:
    """What fleets that work at the same time said, with what their models heard."""
    with ExitStack() as stack:
        urls = [stack.enter_context(model(steps, think_s, attacks)) for _ in kinds]
        running = [
            stack.enter_context(
                subprocess.Popen([*FLEET, "fleet", url, str(agents), kind], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            )
            for url, kind in zip(urls, kinds, strict=True)
        ]
        said = []
        for kind, url, process in zip(kinds, urls, running, strict=True):
            out, _ = process.communicate()
            assert process.returncode == 0
            with urllib.request.urlopen(f"{url}/stats") as answer:
                said.append(json.loads(out) | json.loads(answer.read()))
            delays = said[-1].pop("delays")
            cuts = quantiles(delays, n=100)
            said[-1] |= {"p50": cuts[49], "p99": cuts[98], "most": delays[-1]}
            print(kind, json.dumps(said[-1]))
    return said


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_prints_what_stopped_a_machine_holds_up_no_thread() -> None:
    (found,) = fleets(["hostile"], agents=8, steps=5, think_s=0.2, attacks=len(PRINTS))
    assert found["ends"] == {"done": 8}
    assert found["hostile"], "it has handed off as well"
    assert found["hostile_calls"] > len(PRINTS)
    assert found["thread_ms"] < HELD_MS
    assert found["mb_peak"] < MEMORY_MB


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("attacks", [len(PRINTS), len(ATTACKS)], ids=["the 400 characters", "everything"])
def test_three_hundred_agents_notice_nothing_of_a_hostile_one(attacks: int) -> None:
    found, without = fleets(["hostile", "honest"], agents=300, steps=15, think_s=8.0, attacks=attacks)
    assert found["ends"] == without["ends"] == {"done": 300}
    assert found["hostile"], "it has handed off as well"
    assert found["hostile_calls"] > attacks
    assert found["mb_peak"] < MEMORY_MB
    assert found["thread_ms"] < without["thread_ms"] + HELD_MS
    assert found["p50"] - without["p50"] < DELAY_S
    assert found["p99"] - without["p99"] < DELAY_S
