"""Landings per second on one core, beside agents that rebase and push with retries, on the same repository.

A landing is counted from the submission, whose objects are in the hub already, to its answer. 8, 32 or 128 submitters
are threads of four processes that share one core; each lands one file after the other, back to back. `disk` is the file
system of the temporary folder, `synced` means that objects and ref were on disk before the answer; the plain names are
of /dev/shm, synced as well, where that costs nothing. A trunk of 100,000 commits is measured without --quick.
"""

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.landing_ground import AUTHOR, FENCE, RUN, generate
from benchmarks.landing_load import Row, conflict_ms, disjoint, hub_in, one_core, with_hot_file
from benchmarks.push_retry import push_with_retry
from benchmarks.table import Outcome, arguments, report
from headway.domain.ids import AgentId
from headway.git.landing.landing import Conflicted, Landed, Landing, Submission
from headway.git.maintenance import tidy
from headway.git.workspace.workspaces import Workspaces

MEMORY = Path("/dev/shm")  # noqa: S108 - the file system is what is measured


def main() -> None:
    """Measure, print, write."""
    asked = arguments(__doc__, repository=True)
    outcome = Outcome("landing")
    folder = Path(tempfile.mkdtemp(prefix="headway-landing-"))
    memory = Path(tempfile.mkdtemp(prefix="headway-landing-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        source = asked.repository or generate(memory / "source.git")
        with one_core():
            _rates(outcome, memory, folder, source, quick=asked.quick)
            _hot(outcome, memory, source, each=20 if asked.quick else 100)
            _answers(outcome, memory, folder, source)
            _baseline(outcome, memory, source, seconds=5.0 if asked.quick else 20.0)
            if not asked.quick:
                _long_trunk(outcome, memory)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(memory, ignore_errors=True)
    report(outcome, asked.json)


def _rates(outcome: Outcome, memory: Path, disk: Path, source: Path, *, quick: bool) -> None:
    seconds, most = (1.5, 2_048) if quick else (6.0, 8_192)
    figures, wasted = outcome.figures, 0
    for submitters in (8, 32, 128):
        with hub_in(memory, source) as (hub, base):
            row = disjoint(hub, base, submitters, synced=True, seconds=seconds, most=most)
        wasted += row.wasted
        figures[f"landings_per_second_{submitters}"] = row.rate
        figures[f"p50_ms_{submitters}"], figures[f"p95_ms_{submitters}"] = row.wait_ms(0.5), row.wait_ms(0.95)
        figures[f"cpu_ms_per_landing_{submitters}"] = row.cpu_ms
        figures[f"landings_per_cpu_second_{submitters}"] = 1e3 / row.cpu_ms
    for name, synced in (("synced", True), ("unsynced", False)):
        with hub_in(disk, source) as (hub, base):
            row = disjoint(hub, base, 32, synced=synced, seconds=seconds, most=most)
        wasted += row.wasted
        figures[f"disk_{name}_landings_per_second_32"] = row.rate
        figures[f"disk_{name}_p95_ms_32"] = row.wait_ms(0.95)
    figures["wasted_attempts"] = wasted


def _hot(outcome: Outcome, memory: Path, source: Path, each: int) -> None:
    with hub_in(memory, source) as (hub, base):
        row: Row = with_hot_file(hub, base, 32, synced=True, each=each)
    figures = outcome.figures
    figures["hot_landed_fraction"] = len(row.waits) / (len(row.waits) + row.gave_up)
    figures["hot_landings_per_second_32"] = row.rate
    figures["hot_p95_ms_32"] = row.wait_ms(0.95)
    figures["hot_conflicts"] = row.conflicts
    figures["hot_gave_up"] = row.gave_up


def _answers(outcome: Outcome, memory: Path, disk: Path, source: Path) -> None:
    """What one agent waits for: a conflict's answer from the trunk, and whole calls of `land` in a workspace."""
    for name, folder in (("conflict_ms_p50", memory), ("disk_synced_conflict_ms_p50", disk)):
        with hub_in(folder, source) as (hub, base):
            outcome.figures[name] = conflict_ms(hub, base)
    with hub_in(disk, source) as (hub, _):
        spaces = Workspaces(hub.folder.parent / "workspaces", hub)
        me = AgentId(f"{RUN}/root-0a1b2c3d/1.1-00000001")
        space = spaces.open(me, 1, 1)
        took = []
        for number in range(8):
            (space.path / f"new-{number}.txt").write_text(f"{number}\n")
            asked = Submission(f"Add {number}", AUTHOR, RUN, me, (), f"{me}:{number}", FENCE)
            begun = time.monotonic()
            assert isinstance(Landing(hub, lambda _fence: True).land(space, asked, lambda: None), Landed)
            took.append(time.monotonic() - begun)
        outcome.figures["whole_land_ms_p50"] = sorted(took)[len(took) // 2] * 1e3
        rival = spaces.open(AgentId(f"{RUN}/root-0a1b2c3d/1.2-00000002"), 1, 1)
        for place in (space, rival):
            (place.path / "both.txt").write_text(f"{place.task}\n")
        first = Submission("First", AUTHOR, RUN, me, (), f"{me}:first", FENCE)
        assert isinstance(Landing(hub, lambda _fence: True).land(space, first, lambda: None), Landed)
        begun = time.monotonic()
        second = Submission("Second", AUTHOR, RUN, rival.task, (), f"{rival.task}:second", FENCE)
        assert isinstance(Landing(hub, lambda _fence: True).land(rival, second, lambda: None), Conflicted)
        outcome.figures["whole_conflict_ms"] = (time.monotonic() - begun) * 1e3


def _baseline(outcome: Outcome, memory: Path, source: Path, seconds: float) -> None:
    rate, pushes = push_with_retry(memory / "push", source, 8, seconds)
    shutil.rmtree(memory / "push")
    outcome.baseline["landings_per_second_8"] = rate
    outcome.baseline["wasted_attempts"] = pushes - 1
    outcome.ratios["vs_push_retry_8"] = outcome.figures["landings_per_second_8"] / max(rate, 1e-9)


def _long_trunk(outcome: Outcome, memory: Path) -> None:
    long = generate(memory / "long.git", 100_000)
    with hub_in(memory, long) as (hub, base):
        row = disjoint(hub, base, 32, synced=True, seconds=6.0, most=4_096)
        outcome.figures["at_100000_commits_landings_per_second_32"] = row.rate
        begun = time.monotonic()
        tidy(hub.folder)
        outcome.figures["at_100000_commits_upkeep_s"] = time.monotonic() - begun
        begun = time.monotonic()
        hub.landed_by(AgentId(f"{RUN}/root-0a1b2c3d/1.1-00000001"))
        outcome.figures["at_100000_commits_landed_by_ms"] = (time.monotonic() - begun) * 1e3


if __name__ == "__main__":
    main()
