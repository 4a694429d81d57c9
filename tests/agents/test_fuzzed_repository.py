"""Agents on repositories that are hostile or odd; for ten minutes in the long form."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("4000000", "4000003", "4000009")
"""One that is refused, and two that agents work on. Their number is fixed, so the time of the test follows from it: a
repository can take minutes to make, or to be refused because git waits for an answer."""

LONG_S = 600
MEMORY_MB = 500
"""Of the process, whatever is in the repository."""


def worked_on(*words: str) -> dict[str, Any]:
    """What came of it; a process of its own, so that its memory is that of the repositories alone.

    It ends badly where a task has no handoff, fails three times, hangs, or where something outside has changed.
    """
    argv = [sys.executable, "-m", "tests.agents.fuzzed_repository", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_task_ends_in_a_handoff_on_some_repositories() -> None:
    found = worked_on("small", *SHORT)
    assert found["peak_mb"] < MEMORY_MB, found
    assert found["met"]["worked on"] == len(SHORT) - 1, found


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_task_ends_in_a_handoff_for_ten_minutes() -> None:
    first = int(time.time()) * 1_000_000
    found = worked_on("large", str(first), "for", str(LONG_S))
    print(f"from {first} on: {json.dumps(found, indent=2)}")
    assert found["peak_mb"] < MEMORY_MB, found
    assert found["met"]["worked on"]
