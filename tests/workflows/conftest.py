"""The real Temporal server, and worker processes whose activities are scripted."""

import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.workflows.scripted import Script


def temporal() -> str:
    """The CLI that the environment ships."""
    beside = Path(sys.executable).parent / "temporal"
    return str(beside) if beside.exists() else str(shutil.which("temporal"))


@pytest.fixture(scope="session")
async def client() -> AsyncIterator[Client]:
    """A client of a real server, started for this session."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal(),
        data_converter=pydantic_data_converter,
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"],
    )
    async with environment:
        yield environment.client


@pytest.fixture
def name() -> str:
    """A run's name that no other test has."""
    return f"t-{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def cached_script(client: Client, name: str) -> AsyncIterator[Script]:
    """The same with workflows kept in the cache, as worker processes do: for crowds."""
    script = Script(client, name)
    async with script.working(cached=2000, agents=200):
        yield script


@pytest.fixture
async def script(client: Client, name: str) -> AsyncIterator[Script]:
    """Scripted activities, on both queues, beside the real workflows."""
    script = Script(client, name)
    async with script.working():
        yield script
