"""Every call of the engine to the system may fail. The run goes on when the fault is gone, and buys nothing twice."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.control import build, prepare
from tests.support.disks import Disk

HOME = Path(__file__).parent.parent.parent


def small_run(place: Path, *words: str, below: Path | None = None, limit_s: float = 110) -> dict[str, Any]:
    """A run of `tests.faults.small_run`: what it told."""
    place.mkdir(exist_ok=True)
    folder = below or place / "run"
    folder.mkdir(exist_ok=True)
    (place / ".gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    env = os.environ | {"HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}
    if below is None:
        env |= prepare(place, build(place), folder / "state")
    command = [sys.executable, "-m", "tests.faults.small_run", str(folder), *words]
    done = subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def kinds(told: dict[str, Any]) -> set[str]:
    return {line.split(" ")[0] for line in told["failed"]}


def test_one_in_four_kinds_of_call_on_every_file_fails_once(tmp_path: Path) -> None:
    told = small_run(tmp_path, "--share", "4")
    assert told["problems"] == [], told["retries"]
    assert kinds(told) >= {"open", "write", "sync", "name", "lock"}
    assert len(told["failed"]) == told["targets"] > 50


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_kind_of_call_on_every_file_fails_once(tmp_path: Path) -> None:
    told = small_run(tmp_path, limit_s=900)
    assert told["problems"] == [], told["retries"]
    assert kinds(told) == {"open", "write", "sync", "name", "lock", "fork"}
    assert len(told["failed"]) == told["targets"] > 200


def test_a_disk_at_the_brim_now_and_then(tmp_path: Path) -> None:
    with Disk(tmp_path, "tmpfs", mb=96, options="nr_inodes=6000") as disk:
        told = small_run(tmp_path / "home", "--brim", "1", below=disk.at)
        assert told["problems"] == [], told["retries"]
        assert told["fills"] > 0


@pytest.mark.long
def test_a_full_disk_that_counts_as_a_bug_is_caught(tmp_path: Path) -> None:
    told = small_run(tmp_path, "--planted", "table")
    assert told["problems"] != []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_reply_that_is_thrown_away_is_caught(tmp_path: Path) -> None:
    told = small_run(tmp_path, "--planted", "reply", limit_s=600)
    assert [each for each in told["problems"] if "bought" in each] != []


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("times", [1, 3])
def test_every_write_of_a_run_of_20_tasks_fails(tmp_path: Path, times: int) -> None:
    told = small_run(tmp_path, "--tasks", "20", "--times", str(times), limit_s=7000)
    print(f"\n20 tasks: {told['calls']} calls on {told['targets']} targets, {len(told['failed'])} of them failed")
    assert told["problems"] == [], told["retries"]


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("every", [231, 397])
def test_calls_fail_by_their_number_wherever_the_run_stands(tmp_path: Path, every: int) -> None:
    chance, failed = random.Random(every), 0
    for number in range(6):
        first = str(chance.randrange(every))
        place = tmp_path / str(number)
        told = small_run(place, "--tasks", "20", "--first", first, "--every", str(every), limit_s=1500)
        failed += len(told["failed"])
        assert told["problems"] == [], (first, told["retries"])
    print(f"\n6 runs of 20 tasks, one call in {every} fails: {failed} in all")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_a_disk_at_the_brim_through_a_run_of_20_tasks(tmp_path: Path, seed: int) -> None:
    with Disk(tmp_path, "tmpfs", mb=160, options="nr_inodes=20000") as disk:
        told = small_run(tmp_path / "home", "--tasks", "20", "--brim", str(seed), below=disk.at, limit_s=3000)
        assert told["problems"] == [], told["retries"]
        assert told["fills"] > 3
