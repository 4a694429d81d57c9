"""Fixtures. A `conftest.py` imports those that hold for all tests of its folder.

A test sees nothing of the services, keys and git configuration of the machine that it runs on.
"""

import os
from pathlib import Path

import pytest

OWN_GIT = ("XDG_CONFIG_HOME", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_AUTHOR_NAME")


def hide(patch: pytest.MonkeyPatch) -> None:
    """Take the developer's services and keys out of the environment."""
    for name in list(os.environ):
        if name.startswith(("TEMPORAL_", "OPENAI_", "HEADWAY_")):
            patch.delenv(name)
    patch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's services and keys are hidden."""
    hide(monkeypatch)


@pytest.fixture(autouse=True)
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git has a home of its own, with the name of a user and nothing else."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in OWN_GIT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty state folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder
