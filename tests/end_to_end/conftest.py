"""What end-to-end tests share."""

from pathlib import Path

import pytest

from tests.end_to_end.wheel import build_wheel
from tests.support.environment import home, own_environment
from tests.support.repositories import make_repository

__all__ = ["home", "own_environment"]


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
