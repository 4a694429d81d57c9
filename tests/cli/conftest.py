"""What tests of the command share: a state folder, and settings on ports that are free."""

import os
from pathlib import Path

import pytest

from headway.cli.ports import free_ports
from headway.cli.service_settings import ServiceSettings, find_settings, load_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def settings() -> ServiceSettings:
    """The shipped settings, on free ports."""
    port, ui_port = free_ports(2)
    shipped = load_settings(find_settings())
    server = shipped.server.model_copy(update={"port": port, "ui_port": ui_port})
    return shipped.model_copy(update={"server": server})


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own services and keys shows through."""
    for name in list(os.environ):
        if name.startswith(("TEMPORAL_", "OPENAI_", "HEADWAY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))
