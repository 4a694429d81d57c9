"""Ways around a disk quota, on a disk of their own: each ends within the quota, and the disk is as it was."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.domain.spec import RunSpec
from headway.git.workspace import overlay
from headway.git.workspace.workspace_backend import WorkspaceBackend, overlay_trouble
from headway.git.workspace.workspaces import Workspaces
from headway.policy.sandbox_policy import sandbox_spec_of
from headway.sandbox.backends.plain import Plain
from headway.sandbox.disk_usage import Quota, measure, remove_since, walk
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command, CommandResult
from headway.sandbox.spec import SandboxSpec
from headway.system.reserve import Reserve
from tests.agents.stage import Stage
from tests.support.disks import Disk

QUOTA_MB = 40
DISK_MB = 400
LEVELS = 1_200

DEEP = """
import os
for _ in range(20):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
for number in range(8):
    with open(f"f{number}", "wb") as file:
        file.write(os.urandom(10 << 20))
import time
time.sleep(60)
"""
UNLINKED = """
import os, time
held = []
for _ in range(9):
    held.append(open("x", "wb"))
    os.unlink("x")
    held[-1].write(os.urandom(10 << 20))
    held[-1].flush()
time.sleep(60)
"""
ALLOCATED = """
import os, time
number = 0
try:
    while True:
        with open(f"f{number}", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 30 << 20)
        number += 1
except OSError as full:
    print(full, flush=True)
time.sleep(60)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with Disk(tmp_path, "ext4", DISK_MB) as disk:
        (disk.at / "workspace").mkdir()
        yield disk.at


def descriptors() -> set[str]:
    """Those of this process."""
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are all we need


def free_mb(disk: Path) -> int:
    look = os.statvfs(disk)
    return look.f_bavail * look.f_frsize >> 20


async def run(disk: Path, code: str, resources: Resources, at: Path | None = None) -> CommandResult:
    workspace = at or disk / "workspace"
    (workspace / "hog.py").write_text(code, encoding="ascii")  # it is quick
    walls = SandboxSpec(agent="tests/hog", workspace=workspace)
    return await LocalSandbox(Plain(), resources).run(Command("exec python3 hog.py", workspace, 60.0, walls))


@pytest.mark.parametrize("code", [DEEP, UNLINKED, ALLOCATED], ids=["deep", "unlinked", "allocated"])
async def test_the_disk_is_as_before_after_a_command_that_takes_more_than_its_quota(disk: Path, code: str) -> None:
    before = free_mb(disk)
    result = await run(disk, code, Resources(quota=Quota(QUOTA_MB)))
    assert result.killed_for == "disk_quota"
    assert not result.disk_full
    assert free_mb(disk) >= before - QUOTA_MB - 1


@pytest.mark.skipif(bool(overlay_trouble(Path("/tmp"))), reason="needs overlays")
async def test_unlinked_files_of_an_overlay_count(disk: Path) -> None:
    """They are on the overlay's device, and what they take is on that of its upper layer."""
    for name in ("layer", "upper", "scratch"):
        (disk / name).mkdir()
    before, at = free_mb(disk), overlay.mount([disk / "layer"], disk / "upper", disk / "scratch")
    try:
        result = await run(disk, UNLINKED, Resources(quota=Quota(QUOTA_MB)), at)
        assert result.killed_for == "disk_quota"
        assert free_mb(disk) >= before - QUOTA_MB - 1
    finally:
        overlay.unmount(at)


async def test_services_can_write_while_a_command_fills_the_disk(disk: Path) -> None:
    """The quota here is larger than the disk, so that only the reserve stands in the way."""
    before = free_mb(disk)
    reserve = Reserve(disk, most_mb=8)
    resources = Resources(quota=Quota(DISK_MB * 2), reserve=reserve)
    assert free_mb(disk) < before
    lost = []

    async def write() -> None:
        while True:
            try:
                (disk / "log").write_bytes(bytes(100_000))  # it is quick
            except OSError:
                lost.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(write())
    result = await run(disk, ALLOCATED, resources)
    writing.cancel()
    assert (result.killed_for, result.disk_full) == ("disk_full", False)
    assert result.removed_files > 0
    assert not lost or lost[-1] - lost[0] < 5.0
    assert free_mb(disk) >= before - 16
    assert (disk / "reserve").exists()


def test_a_tree_is_walked_whatever_its_depth_and_holds_few_descriptors(tmp_path: Path) -> None:
    """Deeper than Python recurses, and than a path may be long."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("deep", dir_fd=at)
        inner = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open("last", os.O_CREAT, dir_fd=at))
    os.close(at)
    most, before = 0, descriptors()
    for number, found in enumerate(walk(tmp_path)):
        if number % 100 == 0:
            most = max(most, len(descriptors() - before))
        last = found
    assert (last.parts[-1], len(last.parts)) == ("last", LEVELS + 1)
    assert most < 200, "descriptors that the walk holds at once"
    os.system(f"rm -rf {tmp_path}/deep")  # rmtree recurses


def test_a_tree_that_would_take_every_descriptor_counts_as_over(tmp_path: Path) -> None:
    """Each level has a second folder beside, so that all levels stay open while the deepest is walked."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(800):
        os.mkdir("a", dir_fd=at)
        os.mkdir("b", dir_fd=at)
        names = os.listdir(at)  # noqa: PTH208  # names are all we need
        inner = os.open(names[-1], os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    assert not Quota(1_000).holds(measure(tmp_path, Quota(1_000)))
    os.system(f"rm -rf {tmp_path}/a {tmp_path}/b")


def test_what_is_removed_is_young_and_the_largest_and_never_behind_a_link(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (outside / "large").write_bytes(os.urandom(3 << 20))
    (workspace / "old").write_bytes(os.urandom(3 << 20))
    since = (workspace / "old").stat().st_ctime_ns + 1
    while True:
        (workspace / "small").write_bytes(os.urandom(1 << 20))
        if (workspace / "small").stat().st_ctime_ns >= since:
            break
    (workspace / "large").write_bytes(os.urandom(4 << 20))
    (workspace / "link").symlink_to(outside)
    removed = remove_since(workspace, since, Quota(5))
    assert removed.files == 1
    assert sorted(path.name for path in workspace.iterdir()) == ["link", "old", "small"]
    assert (outside / "large").exists()


def test_files_of_the_repository_are_not_removed(tmp_path: Path) -> None:
    """One that is gone would land as deleted, whatever the command did to it: grow it, touch it, write it anew."""
    (tmp_path / "src").mkdir()
    for name in ("src/grown.py", "src/written.py", "new.bin"):
        (tmp_path / name).write_bytes(os.urandom(1 << 20))
    removed = remove_since(tmp_path, 0, Quota(0), {"src/grown.py", "src/written.py"})
    assert removed.files == 1
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["grown.py", "written.py"]


@pytest.mark.parametrize("level", ["overlay", "clone"])
def test_what_a_workspace_stands_on_is_known_to_the_watchdog(tmp_path: Path, level: WorkspaceBackend) -> None:
    stage = Stage(tmp_path)
    places = Workspaces(tmp_path / "places" / "workspaces", stage.hub, level=level)
    if level == "overlay" and overlay_trouble(tmp_path):
        pytest.skip("needs overlays")
    workspace = places.open(stage.task().me, 1, 1)
    spec = RunSpec(repo="r", instructions="i")
    walls = sandbox_spec_of(stage.task().me, workspace, spec)
    (workspace.path / "src/app.py").write_bytes(os.urandom(1 << 20))
    (workspace.path / "new.bin").write_bytes(os.urandom(1 << 20))
    assert remove_since(workspace.path, 0, Quota(0), walls.tracked()).files >= 1
    assert (workspace.path / "src/app.py").exists()
    assert not (workspace.path / "new.bin").exists()
    assert not workspace.changes().deleted
    places.discard(workspace)
