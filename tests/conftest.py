"""For every room: workspaces may be mounts, and none stays behind, however a test went."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from headway.git import overlay

settings.register_profile("headway", deadline=None)
settings.load_profile("headway")
"""How long an example takes says how busy the machine is, and nothing of what is tested."""


@pytest.fixture(autouse=True)
def _unmounted(request: pytest.FixtureRequest) -> Iterator[None]:
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        overlay.unmount_below(folder)


@pytest.fixture(scope="session", autouse=True)
def _all_unmounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    overlay.unmount_below(tmp_path_factory.getbasetemp())
