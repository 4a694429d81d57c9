"""Workspaces over shared warm layers, beside what a user would do instead, on the same repository and file system.

7,500 files with history and 1 GB of build outputs, or the repository given by its path. Disk is counted in blocks, of
everything that a workspace adds: its folders, the harness's notes, the upper. `at once`: 300 from three processes. The
baselines are one copy each (`git worktree add`, `git clone --local`, `--shared`), and a copy with the build outputs.
Without --quick a rehearsed run of 300 workers, each in a workspace of its own, comes last.

With HEADWAY_WORKSPACES=clone there are no shared layers: the figures of the layer and of a warm build are left out.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.landing_ground import generate
from benchmarks.table import Outcome, arguments, report
from headway.domain.ids import AgentId, Oid
from headway.git.hub import Hub
from headway.git.workspace.overlay import mounted_below, unmount_below
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import backend_for
from headway.git.workspace.workspaces import Workspaces
from headway.system.file_system import file_system

MANY = 300
PROCESSES = 3
OUTPUTS = 1_024
OUTPUT_BYTES = 1 << 20
SOURCES = 12
BUILD = "headway-build"
MAKEFILE = "OBJ := $(patsubst %.c,%.o,$(wildcard *.c))\nall: $(OBJ)\n%.o: %.c\n\t@$(CC) -O2 -c $< -o $@\n"


def main() -> None:
    """Measure, print, write."""
    asked = arguments(__doc__, repository=True)
    outcome = Outcome("workspaces")
    folder = Path(tempfile.mkdtemp(prefix="headway-workspaces-"))
    try:
        print(f"{file_system(folder)}, {backend_for(folder)}")
        source = asked.repository or generate(folder / "source.git")
        _measure(outcome, folder, source, rounds=20 if asked.quick else 100)
        if not asked.quick:
            asyncio.run(_rehearsed(outcome, folder))
    finally:
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)
    report(outcome, asked.json)


def _measure(outcome: Outcome, folder: Path, source: Path, rounds: int) -> None:
    figures, baseline = outcome.figures, outcome.baseline
    hub = Hub(folder / "state" / "hub.git")
    hub.prepare(str(source), None)
    places = Workspaces(folder / "state" / "workspaces", hub)
    outputs = _outputs(figures, folder, places)
    _one_by_one(figures, places, rounds)
    if places.level == "overlay":
        _warm_build(figures, places)
    _edited(figures, places)
    _at_once(figures, places)
    _plain_git(baseline, folder, source, places.hub.tip(), outputs)
    ratios = outcome.ratios
    ratios["create_vs_clone_shared"] = baseline["clone_shared_ms"] / figures["create_ms_p50"]
    ratios["create_vs_copy_with_outputs"] = baseline["copy_with_outputs_s"] * 1e3 / figures["create_ms_p50"]
    if "build_noop_ms" in figures:
        ratios["build_cold_vs_warm"] = figures["build_cold_ms"] / figures["build_noop_ms"]
    ratios["disk_300_vs_one_copy"] = figures["kb_300"] / (baseline["copy_kb"])


def _outputs(figures: dict[str, float], folder: Path, places: Workspaces) -> Path:
    """Make the build outputs, in a layer that all workspaces share where there are layers; returns their folder."""
    if places.level == "clone":
        _fill(folder / BUILD, figures)
        return folder / BUILD
    with _timed(figures, "generation_s", 1.0):
        build = places.generations.begin()
        assert build is not None, "a generation is being built already"
        with build:
            _fill(build.path / BUILD, figures)
            build.publish(None)
    return build.place / "layer" / BUILD


def _fill(place: Path, figures: dict[str, float]) -> None:
    """What a `setup` would leave: 1 GB of outputs that nobody reads, and objects of a small C program."""
    (place / "outputs").mkdir(parents=True)
    (place / ".gitignore").write_text("*\n")
    block = os.urandom(OUTPUT_BYTES)
    for number in range(OUTPUTS):
        (place / "outputs" / f"{number:04}.bin").write_bytes(block)
    body = "".join(f"int g{{0}}_{line}(int x) {{{{ return x * {line} + x / {line + 1}; }}}}\n" for line in range(80))
    for number in range(SOURCES):
        (place / f"f{number}.c").write_text(body.format(number))
    (place / "Makefile").write_text(MAKEFILE)
    figures["build_cold_ms"] = _ms(lambda: subprocess.run(["make", "--silent"], cwd=place, check=True))


def _one_by_one(figures: dict[str, float], places: Workspaces, rounds: int) -> None:
    opened: list[Workspace] = []
    cpu = time.process_time() + _children()
    open_ms = [_ms(lambda at=at: opened.append(_open(places, f"one/{at}"))) for at in range(rounds)]  # type: ignore[misc]
    figures["create_ms_p50"], figures["create_ms_p99"] = median(open_ms), sorted(open_ms)[rounds * 99 // 100 - 1]
    figures["create_cpu_ms"] = (time.process_time() + _children() - cpu) * 1e3 / rounds
    # Without the folder that lists them, which is everybody's.
    figures["kb_each"] = (_kb(places.folder) - (opened[0].home.parent.stat().st_blocks / 2)) / rounds
    _first_status(figures, opened[0])
    figures["remove_ms_p50"] = median(_ms(lambda one=one: places.remove(one)) for one in opened)  # type: ignore[misc]


def _first_status(figures: dict[str, float], workspace: Workspace) -> None:
    dirty = _git(workspace.path, "diff-files", "--name-only")
    figures["first_status_hashes"] = len(dirty.split()) + _racy(workspace.path)
    figures["first_status_ms"] = _ms(lambda: _git(workspace.path, "status", "--porcelain"))


def _racy(path: Path) -> int:
    """Files that are as young as the index, which git reads to be sure."""
    written = int((path / ".git" / "index").stat().st_mtime)
    listed = _git(path, "ls-files", "--debug").split("\n")
    times = (int(line.split()[1].partition(":")[0]) for line in listed if line.startswith("  mtime:"))
    return sum(when >= written for when in times)


def _warm_build(figures: dict[str, float], places: Workspaces) -> None:
    workspace = _open(places, "build")
    place = workspace.path / BUILD
    figures["build_noop_ms"] = _ms(lambda: subprocess.run(["make", "--silent"], cwd=place, check=True))
    places.discard(workspace)


def _edited(figures: dict[str, float], places: Workspaces) -> None:
    """One agent's first commit, and what a scan and a snapshot of it cost."""
    workspace, hub = _open(places, "edit"), places.hub
    before = _kb(places.folder)
    name = _git(workspace.path, "ls-files").split("\n")[0]
    (workspace.path / name).write_text("changed\n")
    _git(workspace.path, "commit", "--quiet", "--all", "--message=First")
    (workspace.path / "new.txt").write_text("new\n")
    idle = before - 0.0
    cpu = time.process_time() + _children()
    with workspace.held():
        figures["scan_ms_p50"] = median(_ms(workspace.scan) for _ in range(15))
    figures["scan_cpu_ms"] = (time.process_time() + _children() - cpu) * 1e3 / 15
    cpu = time.process_time() + _children()
    keeps = []
    for number in range(15):
        (workspace.path / "new.txt").write_text(f"new {number}\n")
        keeps.append(_ms(lambda: snapshot(hub, workspace, workspace.task, lambda: None)))
    figures["snapshot_ms_p50"] = median(keeps)
    figures["snapshot_cpu_ms"] = (time.process_time() + _children() - cpu) * 1e3 / 15
    figures["kb_after_commit"] = _kb(places.folder) - idle + figures["kb_each"]
    places.discard(workspace)


def _at_once(figures: dict[str, float], places: Workspaces) -> None:
    """From three processes, each with a fair share."""
    before = _kb(places.folder)
    start, begin = os.pipe()
    pids = []
    for process in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            _child(places, process, start, begin)
        pids.append(pid)
    os.close(start)
    started = time.monotonic()
    os.close(begin)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    figures["create_300_s"] = time.monotonic() - started
    figures["create_300_failures"] = sum(codes)
    figures["mounted_300"] = len(mounted_below(places.folder))
    figures["kb_300"] = _kb(places.folder) - before


def _child(places: Workspaces, process: int, start: int, begin: int) -> None:
    failed = 0
    try:
        os.close(begin)
        os.read(start, 1)
        for number in range(MANY // PROCESSES):
            try:
                _open(places, f"many/{process}-{number}")
            except Exception as error:  # noqa: BLE001 - counted, and told
                print(f"failed: {error}")
                failed += 1
    finally:
        os._exit(min(failed, 100))


def _plain_git(baseline: dict[str, float], folder: Path, source: Path, tip: Oid, outputs: Path) -> None:
    """One copy each, as a user makes it; then one with the build outputs."""
    git_dir = _git(source, "rev-parse", "--absolute-git-dir").strip()
    made = folder / "plain"
    made.mkdir()
    repository = made / "own.git"
    _git(made, "clone", "--quiet", "--bare", "--local", git_dir, str(repository))
    ways = {
        "worktree_ms": ("-C", str(repository), "worktree", "add", "--quiet", "--detach", str(made / "worktree"), tip),
        "clone_local_ms": ("clone", "--quiet", "--local", str(repository), str(made / "local")),
        "clone_shared_ms": ("clone", "--quiet", "--shared", str(repository), str(made / "shared")),
    }
    for name, command in ways.items():
        baseline[name] = _ms(lambda command=command: _git(made, *command))  # type: ignore[misc]
    baseline["kb_each"] = _kb(made / "shared")
    with _timed(baseline, "copy_with_outputs_s", 1.0):
        _git(made, "clone", "--quiet", "--shared", str(repository), str(made / "warm"))
        subprocess.run(["cp", "-a", outputs, made / "warm" / BUILD], check=True)
    baseline["copy_kb"] = _kb(made / "warm")
    baseline["build_noop_ms"] = _ms(lambda: subprocess.run(["make", "--silent"], cwd=made / "warm" / BUILD, check=True))


async def _rehearsed(outcome: Outcome, folder: Path) -> None:
    """A whole run of 300 tasks, all at work at once, through Temporal and worker processes."""
    from headway.rehearsal.generator import generate as playbook
    from headway.rehearsal.shape import Shape
    from tests.support.site import machine

    home = folder / "home"
    home.mkdir()
    shape = Shape(tasks=MANY, levels=2, files=1, latency_ms=(500, 3_000), seed=11)
    source = generate(folder / "rehearsed.git")
    async with machine(home, source, playbook(shape), agents=MANY, heartbeat_s=30) as site:
        started = time.monotonic()
        run = await site.start("many", limits={"open_tasks": MANY, "tasks": 2 * MANY})
        result = asyncio.ensure_future(run.result())
        most = 0
        while not result.done():
            most = max(most, len(mounted_below(home)))
            await asyncio.sleep(0.2)
        said = result.result()
        outcome.figures["rehearsed_s"] = time.monotonic() - started
        outcome.figures["rehearsed_workspaces_at_once"] = most
        outcome.figures["rehearsed_commits"] = said["commits"]
        outcome.figures["rehearsed_kb_left"] = _kb(home / "runs" / "many" / "workspaces")
        print(f"the rehearsed run of {MANY} workers ended {said['outcome']}")


def _open(places: Workspaces, name: str) -> Workspace:
    return places.open(AgentId(f"bench/{name}"), 1, 1)


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=True, env=_ENVIRONMENT)
    return done.stdout


_ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def _kb(folder: Path) -> float:
    """Blocks of everything in a tree. Of a mount point only the folder below it counts, as one of its neighbours."""
    blocks, device = 0, folder.stat().st_dev
    empty = folder.stat().st_blocks
    for place, below, names in os.walk(folder):
        for name in (*below, *names):
            found = (Path(place) / name).lstat()
            blocks += found.st_blocks if found.st_dev == device else empty
        below[:] = [name for name in below if (Path(place) / name).lstat().st_dev == device]
    return blocks / 2


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def _timed(into: dict[str, float], name: str, unit: float):  # type: ignore[no-untyped-def]  # noqa: ANN202
    started = time.perf_counter()
    yield
    into[name] = (time.perf_counter() - started) * unit


if __name__ == "__main__":
    main()
