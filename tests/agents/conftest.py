"""A git of one's own, and a prepared run on a small repository."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agents.stage import Stage
from tests.support.environment import own_git

__all__ = ["own_git"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A run that has been prepared, with a scripted model behind real HTTP."""
    made = Stage(tmp_path)
    yield made
    await made.close()
