"""Agents on repositories that are hostile or odd; for ten minutes in the long form."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT_S, LONG_S = 5.0, 600.0
MEMORY_MB = 500
"""Of the process, whatever is in the repository."""


def worked_on(seed: int, seconds: float, size: str) -> dict[str, Any]:
    """What came of it; a process of its own, so that its memory is that of the repositories alone.

    It ends badly where a task has no handoff, fails three times, hangs, or where something outside has changed.
    """
    argv = [sys.executable, "-m", "tests.agent.fuzzed_repository", str(seed), str(seconds), size]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_task_ends_in_a_handoff_for_some_seconds() -> None:
    found = worked_on(4, SHORT_S, "small")
    assert found["peak_mb"] < MEMORY_MB, found


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_task_ends_in_a_handoff_for_ten_minutes() -> None:
    seed = int(time.time())
    found = worked_on(seed, LONG_S, "large")
    print(f"seed {seed}: {json.dumps(found, indent=2)}")
    assert found["peak_mb"] < MEMORY_MB, found
    assert found["met"]["worked on"]
