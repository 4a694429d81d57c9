"""What tests of the command share: a state folder, and settings on ports that are free."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.host.service import Service
from headway.host.service_settings import ServiceSettings, find_settings, load_settings
from headway.host.supervisor import Supervisor
from headway.host.temporal_cli import find_cli
from headway.system.ports import free_ports
from tests.support.environment import home, own_environment

__all__ = ["home", "own_environment"]


@pytest.fixture
def settings() -> ServiceSettings:
    """The shipped settings, on free ports."""
    port, ui_port = free_ports(2)
    shipped = load_settings(find_settings())
    server = shipped.server.model_copy(update={"port": port, "ui_port": ui_port})
    return shipped.model_copy(update={"server": server})


@pytest.fixture
async def client(home: Path, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A service that the environment names, with no worker process."""
    async with Supervisor(home, name="service") as supervisor:
        service = Service(settings, find_cli(settings.cli), home)
        await supervisor.start(service.child())
        monkeypatch.setenv("TEMPORAL_ADDRESS", settings.address)
        yield await service.ready()
