"""Agents of a run share caches of build tools, and nothing else through them."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.spec import CACHES
from headway.sandbox.caches import LOOK_EVERY_S, keep_small, shared_caches
from headway.sandbox.runner import Command
from headway.sandbox.spec import SandboxSpec
from tests.support.sandboxes import PlainSandbox

MakeCommand = Callable[..., Command]


def looked_long_ago(folder: Path) -> None:
    os.utime(folder / ".looked", (1, 1))


def test_every_cache_that_a_run_may_name_has_a_folder_of_its_own(tmp_path: Path) -> None:
    caches = shared_caches(tmp_path, CACHES)
    assert all(cache.folder.is_dir() and cache.variable for cache in caches)
    assert len({cache.folder for cache in caches}) == len({cache.inside for cache in caches}) == len(caches) > 6


async def test_what_one_agent_leaves_in_a_cache_another_finds_there(sandbox: PlainSandbox, tmp_path: Path) -> None:
    caches = shared_caches(tmp_path / "caches", ["pip"])
    for agent, line in (("run/one", "echo kept > $PIP_CACHE_DIR/entry"), ("run/two", "cat $PIP_CACHE_DIR/entry")):
        place = tmp_path / agent
        place.mkdir(parents=True)
        walls = SandboxSpec(agent=agent, workspace=place, caches=caches)
        result = await sandbox.run(Command(line=line, cwd=place, timeout_s=30, walls=walls))
    assert result.output == "kept\n"


@pytest.mark.skipif(shutil.which("ccache") is None, reason="no ccache here")
async def test_ccache_takes_its_limit_from_the_folder(sandbox: PlainSandbox, tmp_path: Path) -> None:
    walls = SandboxSpec(agent="run/one", workspace=tmp_path, caches=shared_caches(tmp_path / "caches", ["ccache"]))
    result = await sandbox.run(Command(line="ccache -p | grep max_size", cwd=tmp_path, timeout_s=30, walls=walls))
    assert "10" in result.output


def test_a_cache_that_has_grown_too_large_begins_anew_and_the_old_one_stays_until_no_command_can_use_it(
    tmp_path: Path,
) -> None:
    pip, uv = (cache.folder for cache in shared_caches(tmp_path, ["pip", "uv"]))
    (pip / "wheel").write_bytes(b"x" * 3_000_000)
    (uv / "small").write_bytes(b"x")
    assert keep_small(tmp_path, 3600, cap_mb=2) == ["pip"]
    assert (shared_caches(tmp_path, ["pip", "uv"])[1].folder / "small").exists()
    [old] = tmp_path.glob("pip.old-*")
    assert (old / "wheel").exists()
    looked_long_ago(tmp_path)
    keep_small(tmp_path, 3600, cap_mb=2)
    assert old.exists()
    old.rename(old.with_name(f"pip.old-{int(old.name.partition('.old-')[2]) - 3700 - int(LOOK_EVERY_S)}"))
    looked_long_ago(tmp_path)
    keep_small(tmp_path, 3600, cap_mb=2)
    assert list(tmp_path.glob("*.old-*")) == []


def test_it_is_not_looked_at_over_and_over(tmp_path: Path) -> None:
    [pip] = shared_caches(tmp_path, ["pip"])
    assert keep_small(tmp_path, 60, cap_mb=2) == []
    (pip.folder / "wheel").write_bytes(b"x" * 3_000_000)
    assert keep_small(tmp_path, 60, cap_mb=2) == []
    later = time.time() + 31_536_000
    os.utime(tmp_path / ".looked", (later, later))
    assert keep_small(tmp_path, 60, cap_mb=2) == ["pip"], "the clock was a year ahead when it was looked at"


def test_read_only_modules_are_removed_as_well(tmp_path: Path) -> None:
    old = tmp_path / "go-mod.old-1"
    (old / "module").mkdir(parents=True)
    (old / "module" / "file").write_text("x")
    (old / "module" / "file").chmod(0o400)
    (old / "module").chmod(0o500)
    keep_small(tmp_path, 60)
    assert not old.exists()


def as_user(root: Path, uid: int, act: Callable[[], object]) -> None:
    """Run in a process of an ordinary user, to whom permissions mean something."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, f"it could not be done below {root}"


def test_a_link_in_a_read_only_folder_of_a_cache_opens_no_folder_outside() -> None:
    """Deleting what was set aside makes folders writable; a link there leads to a folder that stays as it is."""
    with tempfile.TemporaryDirectory() as made:
        top, uid = Path(made).resolve(), 4242 if os.geteuid() == 0 else os.geteuid()
        outside, caches = top / "outside", top / "caches"
        planted = caches / "go-mod.old-1" / "module"
        planted.mkdir(parents=True)
        outside.mkdir()
        (planted / "link").symlink_to(outside)
        outside.chmod(0o550)
        planted.chmod(0o500)
        for place in (top, caches, planted.parent, planted, outside):
            os.chown(place, uid, -1)
        as_user(top, uid, lambda: keep_small(caches, 60))
        assert not planted.exists()
        assert stat.S_IMODE(outside.stat().st_mode) == 0o550
