"""A git of one's own, and a prepared run on a small repository."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.stage import Stage


@pytest.fixture(autouse=True)
def _own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("XDG_CONFIG_HOME", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_AUTHOR_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A run that has been prepared, with a scripted model behind real HTTP."""
    made = Stage(tmp_path)
    yield made
    await made.close()
