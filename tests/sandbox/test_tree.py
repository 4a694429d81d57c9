"""What a workspace takes of the disk is counted without following anything out of it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.sandbox.disk_usage import Quota, measure, written_part

ROOMY = Quota(1_000)


def test_files_folders_and_blocks_are_counted_and_holes_are_not(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(os.urandom(3 * 1024 * 1024))
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(500 * 1024 * 1024)
    size = measure(tmp_path, ROOMY)
    assert size.files == 3
    assert 3 <= size.mb < 4


def test_links_lead_nowhere(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "large").write_bytes(os.urandom(3 * 1024 * 1024))
    (workspace / "out").symlink_to(tmp_path)
    (workspace / "round").symlink_to(workspace)
    assert measure(workspace, ROOMY).mb < 1


def test_counting_ends_when_the_quota_is_passed(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(20):
            (tmp_path / str(folder) / str(number)).touch()
    size = measure(tmp_path, Quota(1))
    assert not Quota(1).holds(size)
    assert size.files < 420


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for folder in (lower, upper, work, merged):
        folder.mkdir()
    (lower / "built").write_bytes(os.urandom(5 * 1024 * 1024))
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=False)
    if mounted.returncode:
        pytest.skip("no overlay can be mounted here")
    yield merged
    subprocess.run(["umount", str(merged)], check=True)


def test_of_an_overlay_only_what_was_written_counts(overlay: Path) -> None:
    assert written_part(overlay).name == "upper"
    assert measure(overlay, ROOMY).mb < 1
    (overlay / "new").write_bytes(os.urandom(2 * 1024 * 1024))
    assert 2 <= measure(overlay, ROOMY).mb < 3
