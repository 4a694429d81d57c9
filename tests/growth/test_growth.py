"""After many runs in one process, what the process and its state folder hold is back where it was, or bounded.

The long form, 100 runs with 1,000 tasks, is `python -m tests.long tests/growth`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.growth.alone import files_of_a_run, unexpected_in
from tests.growth.life import Shape

ROOT = Path(__file__).parents[2]


def alone(*words: str | Path) -> dict[str, list[str]]:
    """What a process of its own has found."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.growth.alone", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    said: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.timeout(600)
def test_a_few_runs_leave_nothing_in_their_process_and_a_leak_would_be_seen(tmp_path: Path) -> None:
    said = alone("runs", tmp_path, "2", "2", "3", "2")
    assert said["left"] == []
    assert any("descriptors: HOME/runs/life-#-#/hub.git/landings.db:" in leak for leak in said["leaks"]), said


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_hundred_runs_leave_nothing_in_their_process(tmp_path: Path) -> None:
    assert alone("runs", tmp_path, "10", "2", "12", "100") == {"left": []}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return alone("kinds", tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("descriptor", "descriptors: HOME/open: 0 -> 5"),
        ("entries", "blocks a run"),
        ("large", "MB a run"),
        ("child", "child processes: python"),
        ("file", "files of the state folder: task-#.lock"),
        ("nothing", ""),
    ],
)
def test_each_kind_of_growth_is_seen(kinds: dict[str, list[str]], kind: str, seen: str) -> None:
    found = kinds[kind]
    assert [line for line in found if seen and seen in line] or (found == [] and not seen), found


def test_a_file_that_a_run_should_not_have_is_seen() -> None:
    shape = Shape(tasks=3, landings=1)
    assert unexpected_in(files_of_a_run(shape), shape) == []
    assert unexpected_in({"hub.git/refs/headway/wip/life-#-#/root-#/#.#-#": 3}, shape) != []
    assert unexpected_in({"workspaces/life-#-#/.#-#-#.lock": 1}, shape) != []
