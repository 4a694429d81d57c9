"""The kind of file system of a folder."""

import sys
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from headway.system.file_system import file_system


class Mount(NamedTuple):
    mountpoint: str
    fstype: str


@pytest.mark.skipif(sys.platform != "linux", reason="the mounts of Linux")
def test_the_innermost_mount_tells(tmp_path: Path) -> None:
    assert file_system(Path("/proc/self")) == "proc"
    (tmp_path / "link").symlink_to("/proc/self")
    assert file_system(tmp_path / "link") == "proc"


def test_the_last_mount_at_a_place_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    top = str(tmp_path.resolve())
    mounts = [Mount("/", "ext4"), Mount(top, "xfs"), Mount(f"{top}/a b", "nfs4"), Mount(top, "tmpfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert file_system(tmp_path / "a b" / "c") == "nfs4"
    assert file_system(tmp_path / "a b c") == "tmpfs"
