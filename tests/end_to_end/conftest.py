"""What end-to-end tests share."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.repositories import make_repository
from tests.end_to_end.wheel import build_wheel


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own services and keys shows through."""
    for name in list(os.environ):
        if name.startswith(("TEMPORAL_", "OPENAI_", "HEADWAY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session")
def large_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 files; no run writes to it but its own branch."""
    return make_repository(tmp_path_factory.mktemp("repositories") / "large", 5000)


@pytest.fixture
def small_repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "small", 20)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("source"))
