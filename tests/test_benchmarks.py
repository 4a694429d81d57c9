"""The benchmark of workspaces measures every way in which workspaces are made, here on a repository of 100 files."""

import json
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks import workspaces
from benchmarks.landing_ground import generate
from headway.git.workspace.overlay import mounted_below
from headway.git.workspace.workspace_backend import SETTING, WorkspaceBackend, overlay_trouble


@pytest.mark.parametrize("rung", ["overlay", "clone"])
def test_workspaces_are_measured_in_every_way_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rung: WorkspaceBackend
) -> None:
    if rung == "overlay" and (wrong := overlay_trouble(tmp_path)):
        pytest.skip(wrong)
    monkeypatch.setenv(SETTING, rung)
    for name, small in {"MANY": 3, "OUTPUTS": 2, "OUTPUT_BYTES": 4_096, "SOURCES": 2}.items():
        monkeypatch.setattr(workspaces, name, small)
    source, told = generate(tmp_path / "source.git", commits=1), tmp_path / "figures.json"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["workspaces", "--quick", "--json", str(told), str(source)])

    workspaces.main()

    outcome = json.loads(told.read_text())
    figures = outcome["figures"]
    assert figures["create_300_failures"] == 0
    assert figures["mounted_300"] == (3 if rung == "overlay" else 0)
    assert figures["create_ms_p50"] > 0
    assert ("build_noop_ms" in figures) == (rung == "overlay")
    assert outcome["ratios"]["create_vs_clone_shared"] > 0
    assert mounted_below(tmp_path) == []
