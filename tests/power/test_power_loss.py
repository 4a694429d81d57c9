"""The power goes at a random moment. What the disk held then starts again, and goes on to the end."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.small_run import AT_ONCE
from tests.power.control import broken
from tests.power.rig import Rig

HOME = Path(__file__).parent.parent.parent
COPIES = 6
Running = subprocess.Popen[bytes]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig") as rig:
        yield rig


def environment(place: Path) -> dict[str, str]:
    (place / ".gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    return os.environ | {"HOME": str(place), "GIT_CONFIG_NOSYSTEM": "1"}


def copies_of(
    rig: Rig, process: Running, count: int, chance: random.Random, *, gap_s: float, look: Callable[[], int] = lambda: 0
) -> list[tuple[Path, int]]:
    """The disk at so many moments of a program, each with what `look` saw before; then the program is killed."""
    taken = []
    for _ in range(count):
        time.sleep(chance.uniform(0.1, 1.0) * gap_s)
        if process.poll() is not None:
            break
        seen = look()
        taken.append((rig.copy(), seen))
    process.kill()
    process.wait()
    return taken


@pytest.mark.parametrize("order", ["right", "wrong"])
def test_a_wrong_order_of_syncs_is_caught_and_the_right_one_passes(rig: Rig, order: str) -> None:
    command = [sys.executable, "-m", "tests.power.control", str(rig.at), order]
    with subprocess.Popen(command, cwd=HOME) as process:
        while not (rig.at / "3").exists():
            time.sleep(0.01)
        taken = copies_of(rig, process, COPIES, random.Random(1), gap_s=0.3)
    assert len(taken) == COPIES
    found = []
    for image, _ in taken:
        rig.insert(image)
        assert (rig.at / "log").stat().st_size > 0
        found.append(bool(broken(rig.at)))
    assert any(found) == (order == "wrong")


def resumed(rig: Rig, place: Path, boot: str, *words: str) -> Running:
    """`tests.faults.small_run` on the disk, under another boot id."""
    told = place / f"boot-{boot}"
    told.write_text(f"{boot}\n")
    run = [sys.executable, "-m", "tests.faults.small_run", str(place / "run"), "--state", str(rig.at), *words]
    shell = f'mount --bind {told} /proc/sys/kernel/random/boot_id && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", shell, "sh", *run]
    return subprocess.Popen(command, cwd=HOME, env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: Running, limit_s: float = 110) -> dict[str, Any]:
    out, err = process.communicate(timeout=limit_s)
    assert process.returncode == 0, err.decode()[-3_000:]
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def losses(rig: Rig, place: Path, seed: int, count: int, *, tasks: int, planted: str = "") -> tuple[int, int]:
    """So many losses in one run at most; how many there were, and how many tasks lost steps that no script repeats."""
    chance, place = random.Random(seed), place / f"{seed}"
    (place / "run").mkdir(parents=True)
    words = ("--tasks", str(tasks), "--latency", "200", "--planted", planted)
    with resumed(rig, place, f"{seed}-0", *words) as process:
        while not list(rig.at.glob("runs/*/logs/*/*.jsonl")):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()[-3_000:]
            time.sleep(0.02)
        asked = place / "run" / "requests"
        taken = copies_of(rig, process, count, chance, gap_s=0.7, look=lambda: int(asked.read_bytes()))
    lost = 0
    for number, (image, bought) in enumerate(taken, 1):
        rig.insert(image)
        with resumed(rig, place, f"{seed}-{number}", "--tasks", str(tasks)) as process:
            told = ended(process)
        # A reply that was paid is on disk, but for the one that each agent at work waited for just then.
        assert bought - told["had"] <= min(tasks, AT_ONCE), (seed, number, bought, told)
        assert told["problems"] == [], (seed, number, told)
        lost += told["lost"]
    return len(taken), lost


def test_a_run_goes_on_after_two_power_losses(rig: Rig, tmp_path: Path) -> None:
    assert losses(rig, tmp_path, 1, 2, tasks=2)[0] == 2


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_run_goes_on_after_50_power_losses(rig: Rig, tmp_path: Path) -> None:
    done = seed = all_lost = 0
    while done < 50:
        seed += 1
        rig.fresh()
        count, lost = losses(rig, tmp_path, seed, min(8, 50 - done), tasks=6)
        done, all_lost = done + count, all_lost + lost
        print(f"{done} power losses in {seed} runs; {all_lost} tasks lost a step that their script does not repeat")
    assert all_lost <= done


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_log_that_is_not_synced_is_caught(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"assert \(\d+ - \d+\) <= \d+"):
        losses(rig, tmp_path, 3, 6, tasks=6, planted="sync")
