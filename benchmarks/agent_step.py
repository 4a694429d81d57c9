"""What a step of a worker costs this machine besides its command and its model: `python -m benchmarks.agent_step`.

The model is a server in another process that answers at once; the sandbox runs nothing. What is left of a step is ours:
the request, the reply, the log with its sync, the guards. CPU time is that of this whole process, threads included.
Beside it stands a loop over the `openai` client that keeps its messages in a list and writes nothing down.

With `--against COMMIT` a step at that commit is measured as well, in turn with this one. Only then a ratio of the two
means something: on a busy machine the same step costs twice as much. What that commit depends on must be installed.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.agent_ground import Ground, bare
from benchmarks.table import Outcome, arguments, report

SIZES = {"200": (200, 2_000), "2000": (2_000, 800)}
"""Messages in the conversation, two a step; bytes that a step adds."""

AGENTS = 1_000
MEASURED = 60
"""Steps that are measured, around the size that is named."""

ROUNDS = 3
"""Agents that are measured one after the other. Their median counts: a machine's own speed swings by a fifth."""

BARE_MEASURED = 20

PAIRS = 5
HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and report."""
    args = arguments(__doc__, against=True)
    outcome = Outcome("agent_step")
    with _server() as url, tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        asyncio.run(_steps(url, Path(folder), outcome))
        agents = 200 if args.quick else AGENTS
        outcome.figures |= _memory("ours", url, agents)
        outcome.baseline |= _memory("bare", url, agents)
        if args.against:
            _compare(args.against, url, outcome)
    worst = max(outcome.figures[f"cpu_ms_per_step_{name}"] for name in SIZES)
    outcome.figures["cpu_ms_per_step"] = worst
    outcome.baseline["cpu_ms_per_step"] = max(outcome.baseline[f"cpu_ms_per_step_{name}"] for name in SIZES)
    for name in SIZES:
        key = f"cpu_ms_per_step_{name}"
        outcome.ratios[f"vs_bare_openai_loop_{name}"] = outcome.baseline[key] / outcome.figures[key]
    outcome.ratios["vs_bare_openai_loop"] = min(outcome.ratios[f"vs_bare_openai_loop_{name}"] for name in SIZES)
    report(outcome, args.json)


async def _steps(url: str, folder: Path, outcome: Outcome) -> None:
    ground = Ground(folder)
    gc.freeze()  # as worker.py does
    for number, (name, (messages, step_bytes)) in enumerate(SIZES.items()):
        steps = messages // 2 + MEASURED // 2
        rounds = [await ground.work(url, steps, step_bytes, ROUNDS * number + each) for each in range(ROUNDS)]
        outcome.figures[f"cpu_ms_per_step_{name}"] = median(map(_per_step, rounds))
        # Its first steps cost the more the longer it runs; it starts where it is measured.
        baseline = await bare(url, steps, step_bytes, steps - BARE_MEASURED - 1)
        outcome.baseline[f"cpu_ms_per_step_{name}"] = _per_step(baseline)


def _compare(commit: str, url: str, outcome: Outcome) -> None:
    """A step of this checkout and one of another commit's, in turn; the ratio is the median of the pairs."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        there = Path(folder) / "checkout"
        subprocess.run(["git", "-C", HERE, "worktree", "add", "--quiet", "--detach", there, commit], check=True)
        try:
            for name, (messages, step_bytes) in SIZES.items():
                steps = str(messages // 2 + MEASURED // 2)
                pairs = [
                    (_round(HERE, url, steps, str(step_bytes)), _round(there, url, steps, str(step_bytes)))
                    for _ in range(PAIRS)
                ]
                outcome.figures[f"cpu_ms_per_step_{name}_in_turn"] = median(ours for ours, _ in pairs)
                outcome.baseline[f"cpu_ms_per_step_{name}_in_turn"] = median(theirs for _, theirs in pairs)
                outcome.ratios[f"cost_of_a_step_{name}_vs_{commit[:12]}"] = median(a / b for a, b in pairs)
        finally:
            subprocess.run(["git", "-C", HERE, "worktree", "remove", "--force", there], check=True)


def _round(checkout: Path, url: str, steps: str, step_bytes: str) -> float:
    command = [sys.executable, str(HERE / "benchmarks" / "agent_round.py"), url, steps, step_bytes]
    env = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=env, check=True, capture_output=True, text=True)
    return _per_step(json.loads(done.stdout))


def _per_step(cpu_s: list[float]) -> float:
    last = cpu_s[-MEASURED - 2 : -1]
    return (last[-1] - last[0]) / (len(last) - 1) * 1000


def _memory(who: str, url: str, agents: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.agent_memory", who, url, str(agents)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {str(name): float(value) for name, value in json.loads(done.stdout).items()}


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.agent_model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


if __name__ == "__main__":
    main()
