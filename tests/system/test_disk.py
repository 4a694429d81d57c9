"""A disk without inodes is full, however many bytes it has."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from headway.cli import doctor
from headway.sandbox.admission.machine import Machine, MachineBounds
from headway.sandbox.disk_usage import Quota
from headway.system.disk import Disk, DiskBounds, shortage_of_disk
from tests.support import disks


def test_a_real_disk_without_inodes_holds_commands_and_is_shown(tmp_path: Path) -> None:
    with disks.Disk(tmp_path, "tmpfs", mb=4096, options="nr_inodes=300") as disk:
        disks.take_inodes(disk.at)
        found = Disk.of(disk.at / "not" / "there")
        assert found.inodes == 0
        assert Machine.look(disk.at).short_of(MachineBounds()) == "inodes"
        (finding,) = doctor.state_folder(disk.at)
        assert finding.state == "lacking"
        assert "0 inodes free (100% used)" in finding.says
        assert "inode" in finding.remedy
        told = shortage_of_disk(disk.at)
        assert told is not None
        assert "short of inodes" in told


def test_a_disk_is_as_full_as_df_says(tmp_path: Path) -> None:
    """Blocks that are kept for root are neither free nor used."""
    told = subprocess.run(["df", "--output=pcent", str(tmp_path)], capture_output=True, text=True, check=True)
    used = 100 * (1 - Disk.of(tmp_path).share)
    assert abs(used - int(told.stdout.split()[-1].rstrip("%"))) <= 1.5, "df rounds up"


def test_a_disk_that_is_too_small_for_a_run_is_told(tmp_path: Path) -> None:
    with disks.Disk(tmp_path, "tmpfs", mb=32) as disk:
        (finding,) = doctor.state_folder(disk.at)
        (quota,) = Quota.usual(disk.at).findings()
    assert (finding.state, quota.state) == ("lacking", "lacking")
    assert re.search(r"\d+ MB free \(\d+% used\)", finding.says)
    for each in (finding, quota):
        assert "larger disk" in each.remedy


@pytest.mark.parametrize(
    ("disk", "short", "for_agents"),
    [
        (Disk(0.5, 10**9), None, None),
        (Disk(0.12, 10**10), None, "disk"),
        (Disk(0.05, 10**9), "disk", "disk"),
        (Disk(0.05, 10**12), None, None),
        (Disk(0.5, 10**12, 0.05, 50_000), "inodes", "inodes"),
        (Disk(0.5, 10**12, 0.12, 200_000), None, "inodes"),
        (Disk(0.5, 10**12, 0.05, 10_000_000), None, None),
        (Disk(0.5, 10**12, 1.0, None), None, None),
    ],
)
def test_a_disk_is_short_below_a_share_and_an_amount(disk: Disk, short: str | None, for_agents: str | None) -> None:
    assert disk.short(DiskBounds()) == short
    assert disk.short_for_agents(DiskBounds()) == for_agents


def test_where_inodes_are_not_counted_none_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    fields = [*real]
    fields[5:8] = [0, 0, 0]  # files, free, available: as btrfs tells them
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*fields, real.f_namemax)[:11]))
    assert Disk.of(tmp_path).inodes is None
