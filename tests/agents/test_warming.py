"""Warm layers below workspaces: `setup` runs once for all that find the same inputs, and its outputs are everywhere."""

import asyncio
import shutil
from pathlib import Path

import pytest

from headway.domain.spec import RunSpec
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import RunStart
from headway.eventlog.events.work import SnapshotKept
from headway.git.changes import Changes
from headway.git.workspace.snapshot import newest
from headway.git.workspace.workspace_backend import overlay_trouble
from headway.git.workspace.workspaces import Workspaces
from headway.runs.setup_runner import ensure_base_layer
from headway.sandbox.backends.backends import Backends
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from tests.agents.stage import RUN, Stage, git, step, use

TITLE = "Write a file"
SETUP = "pwd; echo built >> out.log; echo ran >> .headway/home/ran; [ ! -e fail ]"

needs_layers = pytest.mark.skipif(
    bool(overlay_trouble(Path("/tmp"))) or shutil.which("bwrap") is None, reason="needs overlays and bubblewrap"
)


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> LocalSandbox:
    """A sandbox that shows every workspace at the same path."""
    levels = Backends((tmp_path_factory.mktemp("private"),), Resources())
    found = levels.choose(allow_weak=True)
    if not found.level.startswith("bubblewrap"):
        pytest.skip(f"bubblewrap does not work here: {found.level}")
    return found


def _spec(stage: Stage) -> RunSpec:
    return stage.store.said(stage.context.spec, RunStart).spec


def _ran(places: Workspaces) -> int:
    """How often `setup` ran in the newest layers."""
    found = places.generations.newest()
    assert found is not None
    return next(len(p.read_text().split()) for layer in found.layers if (p := layer / ".headway/home/ran").exists())


@needs_layers
async def test_setup_runs_once_for_all_workspaces_until_a_manifest_changes(
    tmp_path: Path, walled: LocalSandbox
) -> None:
    stage = Stage(tmp_path, more={"setup": SETUP}, files={".gitignore": "*.log\n", "package.json": "{}\n"})
    spec, beats = _spec(stage), stage.beats.append
    order = stage.task()
    await asyncio.gather(*(ensure_base_layer(stage.places, spec, walled, order.me, beats) for _ in range(5)))
    assert _ran(stage.places) == 1
    one = stage.places.open(order.me, 1, 1)
    done = one.setup_done(SETUP)
    assert done is not None
    assert (done.exit_code, done.output.split()[0]) == (0, "/workspace")
    assert (one.path / "out.log").read_text() == "built\n"
    assert one.changes() == Changes()
    trunk = git(stage.hub.folder, "rev-parse", "main")
    for path, times in (("README.md", 1), ("package.json", 2)):
        blob = git(stage.hub.folder, "hash-object", "-w", str(stage.source / "package.json"))
        index = {"GIT_INDEX_FILE": str(tmp_path / path)}
        stage.hub.repo.run("read-tree", trunk, env=index)
        stage.hub.repo.run("update-index", "--add", "--cacheinfo", f"100755,{blob},{path}", env=index)
        tree = stage.hub.repo.run("write-tree", env=index).oid
        trunk = stage.hub.repo.commit(tree, (stage.hub.tip(),), "more", "A <a@example.org>")
        git(stage.hub.folder, "update-ref", "refs/heads/main", trunk)
        await ensure_base_layer(stage.places, spec, walled, order.me, beats)
        assert _ran(stage.places) == times
    assert (one.path / "out.log").read_text() == "built\n", "what is published does not change"


@needs_layers
async def test_a_setup_that_is_cut_short_leaves_nothing_and_the_next_one_runs(
    tmp_path: Path, walled: LocalSandbox
) -> None:
    stage = Stage(tmp_path, more={"setup": "touch .headway/home/begun; sleep 60"})
    task = asyncio.create_task(
        ensure_base_layer(stage.places, _spec(stage), walled, stage.task().me, stage.beats.append)
    )
    folder = stage.places.generations.folder
    while not list(folder.glob("*.new/layer/.headway/home/begun")):  # noqa: ASYNC110 - a command makes it
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [place.name for place in folder.iterdir() if place.is_dir()] == []
    build = stage.places.generations.begin()
    assert build is not None
    with build:
        build.publish(None)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_what_a_worker_has_not_landed_is_kept_every_so_many_steps(stage: Stage) -> None:
    writes = [step(use("write_file", path=f"f{n}.txt", content=f"{n}\n")) for n in range(6)]
    rehearsal = stage.serve(tasks={TITLE: [*writes, step(use("finish", status="partial", summary="Some."))]})
    order = stage.task()
    agent = stage.worker()
    agent._snapshot_steps = 2
    await agent.work(order, stage.beats.append)
    kept = [each.commit for each in bodies(stage.log(order.me), SnapshotKept)]
    held = [git(stage.hub.folder, "ls-tree", "--name-only", commit).count("f") for commit in kept]
    assert len(kept) >= 3
    assert held == sorted(held)
    last = newest(stage.hub, order.me)
    assert last is not None
    assert last.commit == kept[-1]
    chain = git(stage.hub.folder, "rev-list", "--first-parent", last.commit).split()
    assert all(commit in chain for commit in kept), "each stands on the one before"
    assert rehearsal.report()["repeats"] == 0
    await stage.close()
    assert stage.context.run == RUN
