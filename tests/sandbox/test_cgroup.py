"""A cage bounds what an agent's commands use together, counts it, and can be emptied; with the kernel's own groups."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.group import Group, slug
from headway.sandbox.cgroup.groups import PARENT, Groups
from tests.support.waiting import soon


@pytest.fixture
def cages() -> Iterator[Groups]:
    made = Groups.detect()
    if made is None:
        pytest.skip("this user may make no control groups here")
    yield made
    made.close()


def run_in(cage: Group, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*cage.enter, "sh", "-c", line], capture_output=True, text=True, check=False)


def needs(cages: Groups, controller: str) -> None:
    if controller not in cages.limits:
        pytest.skip(f"no {controller} controller here")


def hog(mb: int) -> str:
    return f"{sys.executable} -S -E -c 'x = bytearray({mb} * 1024 * 1024)'"


def test_a_hog_behind_a_pipe_is_killed_and_counted_although_the_shell_ends_well(cages: Groups) -> None:
    needs(cages, "memory")
    cage = cages.of("run/hog", memory_mb=128)
    before = cage.read().oom_kills
    ended = run_in(cage, f"{hog(600)} | cat; echo went on")
    assert (ended.returncode, ended.stdout) == (0, "went on\n")
    assert cage.read().oom_kills > before


def test_two_commands_of_an_agent_share_its_limit_and_other_agents_do_not(cages: Groups) -> None:
    needs(cages, "memory")
    one, other = cages.of("run/one", memory_mb=128), cages.of("run/other", memory_mb=400)
    assert run_in(other, hog(250)).returncode == 0
    assert run_in(one, hog(250)).returncode != 0
    assert (one.read().oom_kills, other.read().oom_kills) == (1, 0)


def test_forks_beyond_the_limit_are_refused_also_for_root(cages: Groups) -> None:
    needs(cages, "pids")
    cage = cages.of("run/forks", pids=20)
    script = "import os,time\nn=0\nfor i in range(200):\n  try: p=os.fork()\n  except OSError: continue\n"
    script += "  if not p:\n    os.close(1); os.close(2); time.sleep(600)\n  n+=1\nprint(n)"
    ended = run_in(cage, f"exec {sys.executable} -S -E -c '{script}'")
    cage.kill()
    assert 0 < int(ended.stdout) < 20
    assert cage.read().forks_refused > 100


def test_killing_reaches_daemons_without_session_parent_or_environment(cages: Groups) -> None:
    cage = cages.of("run/daemon")
    run_in(cage, "(setsid env -i sleep 600 >/dev/null 2>&1 &); (setsid env -i sleep 600 >/dev/null 2>&1 &)")
    assert len(cage.members()) == 2
    cage.kill()
    assert soon(lambda: not cage.members())


def test_processor_time_of_everything_inside_is_counted_also_of_daemons(cages: Groups) -> None:
    cage = cages.of("run/spinner")
    if cage.read().cpu_s is None:
        pytest.skip("no tree that counts processor time")
    run_in(cage, "(setsid sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done' >/dev/null 2>&1 &)")
    assert soon(lambda: (cage.read().cpu_s or 0) > 0.05)


def test_an_agent_keeps_its_cage_and_a_name_that_tells_whose_it_is(cages: Groups) -> None:
    cage = cages.of("first/root-1/2.0-abc")
    assert cages.of("first/root-1/2.0-abc") == cage
    assert "first_root-1_2.0-abc" in cage.name
    assert slug("a/b") != slug("a_b")


def test_a_dropped_cage_is_killed_and_removed_as_soon_as_the_kernel_lets_go(cages: Groups) -> None:
    cage = cages.of("run/done")
    run_in(cage, "setsid sleep 600 >/dev/null 2>&1 &")
    cages.drop("run/done")

    def removed() -> bool:
        cages.drop("another")  # whatever is dropped later looks after those before it
        return not any(folder.exists() for folder in cage.folders)

    assert soon(removed)


OWNER = """
import subprocess, sys
from headway.sandbox.cgroup.groups import Groups
cage = Groups.detect().of("dead/agent")
subprocess.Popen([*cage.enter, "sleep", "600"], start_new_session=True)
while not cage.members(): pass
print(cage.folders[0], flush=True)
sys.stdin.read()
"""


def test_the_cages_of_a_killed_process_are_emptied_and_removed_by_the_next_one(cages: Groups) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().decode().strip())
        assert folder.exists()
        cages.sweep()
        assert (folder / "cgroup.procs").read_text() != ""  # the living are left alone
        owner.kill()

    def swept() -> bool:
        cages.sweep()
        return not folder.exists()

    assert soon(swept)


def test_a_reader_is_held_to_its_bandwidth(tmp_path: Path) -> None:
    bandwidth = Bandwidth.of(tmp_path, 4)
    cages = Groups.detect(bandwidth=bandwidth)
    if cages is None or bandwidth is None or "io" not in cages.limits:
        pytest.skip("no io controller for this disk here")
    try:
        (tmp_path / "file").write_bytes(b"x" * 8 * 1024 * 1024)
        began = time.monotonic()
        ended = run_in(cages.of("run/reads"), f"dd if={tmp_path}/file of=/dev/null bs=1M iflag=direct")
        if ended.returncode:
            pytest.skip("this file system cannot be read past the cache")
        assert time.monotonic() - began > 1.0  # two seconds at that rate, a hundredth without
    finally:
        cages.close()


def test_the_sum_of_all_agents_is_bounded_below_the_machine(cages: Groups) -> None:
    needs(cages, "memory")
    cages.of("run/any")
    name = "memory.limit_in_bytes" if cages.kind == "v1" else "memory.max"
    limit = int((cages.where.trees["memory"] / PARENT / name).read_text())
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert total // 2 < limit <= total - min(total // 4, 2 * 1024**3)


def test_a_process_that_cannot_go_in_does_not_run(cages: Groups) -> None:
    cage = cages.of("run/gone")
    assert soon(cage.remove)
    assert run_in(cage, "echo ran").returncode == 125
