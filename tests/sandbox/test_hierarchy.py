"""Which control groups are ours to make, from what is mounted; version 2 by its files, on a tree of plain ones."""

import os
from pathlib import Path

import pytest

from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.groups import PARENT, Groups
from headway.sandbox.cgroup.hierarchy import Hierarchy

ALL = "cpuset cpu io memory pids"


def group(folder: Path, controllers: str = ALL, handed_down: str = ALL) -> Path:
    """A group of version 2, as far as files go."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text("")
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").write_text(handed_down)
    return folder


def system(tmp_path: Path, own: str, root: str = "/") -> Path:
    """What the kernel says of our process and of the mounts."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(f"0::{own}\n")
    tree = tmp_path / "tree"
    (proc / "mountinfo").write_text(f"30 23 0:26 {root} {tree} rw,nosuid - cgroup2 cgroup2 rw\n")
    return proc


def test_version_2_takes_the_nearest_group_that_hands_its_controllers_down(tmp_path: Path) -> None:
    tree = group(tmp_path / "tree")
    user = group(tree / "user")
    scope = group(user / "my.scope", handed_down="")
    (scope / "cgroup.subtree_control").chmod(0o444)
    if os.geteuid() == 0:
        (scope / "cgroup.subtree_control").unlink()
        (scope / "cgroup.subtree_control").mkdir()  # refuses to be written, also for root
    found = Hierarchy.here(system(tmp_path, "/user/my.scope"))
    assert found is not None
    assert (found.kind, found.bases, found.door) == ("v2", (user,), "cgroup.procs")
    assert found.trees.keys() == {"memory", "pids", "cpu", "io", "usage"}


def test_in_a_container_the_mount_shows_only_a_part_of_the_tree(tmp_path: Path) -> None:
    tree = group(tmp_path / "tree")
    inner = group(tree / "inner")
    found = Hierarchy.here(system(tmp_path, "/docker/abc/inner", root="/docker/abc"))
    assert found is not None
    assert found.bases == (inner,)


def test_without_memory_and_pids_version_2_is_of_no_use(tmp_path: Path) -> None:
    group(tmp_path / "tree", controllers="cpuset", handed_down="")
    assert Hierarchy.here(system(tmp_path, "/")) is None


def test_without_any_mount_there_is_nothing(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text("0::/\n")
    (proc / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    assert Hierarchy.here(proc) is None


@pytest.fixture
def cages(tmp_path: Path) -> Groups:
    tree = group(tmp_path / "tree")
    return Groups(Hierarchy("v2", dict.fromkeys(("memory", "pids", "cpu", "io", "usage"), tree)), Bandwidth("8:0", 50))


def test_the_limits_of_version_2_are_written_where_the_kernel_reads_them(cages: Groups, tmp_path: Path) -> None:
    cage = cages.of("run/agent", memory_mb=100, pids=64)
    [folder] = cage.folders
    said = {file.name: file.read_text() for file in folder.iterdir()}
    assert said == {
        "memory.max": str(100 * 1024 * 1024),
        "memory.swap.max": "0",
        "pids.max": "64",
        "io.max": "8:0 rbps=52428800 wbps=52428800",
    }
    top = tmp_path / "tree" / PARENT
    assert int((top / "memory.max").read_text()) > 0
    assert (top / "cpu.weight").read_text() == "100"


def test_what_version_2_counts_is_read(cages: Groups) -> None:
    cage = cages.of("run/agent")
    [folder] = cage.folders
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 5\noom 1\noom_kill 3\noom_group_kill 1\n")
    (folder / "memory.peak").write_text("2097152\n")
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (folder / "pids.current").write_text("7\n")
    (folder / "pids.events").write_text("max 2\n")
    sample = cage.read()
    assert (sample.oom_kills, sample.peak_kb, sample.cpu_s) == (3, 2048, 1.5)
    assert (sample.pids, sample.forks_refused) == (7, 2)


def test_version_2_kills_with_one_write(cages: Groups) -> None:
    cage = cages.of("run/agent")
    cage.kill()
    assert (cage.folders[0] / "cgroup.kill").read_text() == "1"
