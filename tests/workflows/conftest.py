"""The real Temporal server, and worker processes whose activities are scripted."""

import asyncio
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.workflows.scripted import Script

ENDS_WITHIN_S = 30.0


def temporal() -> str:
    """The CLI that the environment ships."""
    beside = Path(sys.executable).parent / "temporal"
    return str(beside) if beside.exists() else str(shutil.which("temporal"))


@pytest.fixture(scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of a real server, started for this session. It keeps its database as the one of a user does."""
    pragmas = [f"--sqlite-pragma={pragma}" for pragma in ("journal_mode=wal", "synchronous=off", "busy_timeout=10000")]
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal(),
        dev_server_database_filename=str(tmp_path_factory.mktemp("service") / "temporal.db"),
        data_converter=pydantic_data_converter,
        dev_server_log_level="error",
        dev_server_extra_args=[*pragmas, "--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"],
    )
    yield environment.client
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await environment.shutdown()
    except TimeoutError:  # it is only asked to end: one that hangs would hold the whole suite for ever
        for child in psutil.Process().children():
            if "start-dev" in child.cmdline():
                child.kill()
        raise


@pytest.fixture
def name() -> str:
    """A run's name that no other test has."""
    return f"t-{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def cached_script(client: Client, name: str) -> AsyncIterator[Script]:
    """The same with workflows kept in the cache, as worker processes do: for crowds."""
    script = Script(client, name)
    async with script.working(cached=2000, replays=False):
        yield script


@pytest.fixture
async def script(client: Client, name: str) -> AsyncIterator[Script]:
    """Scripted activities, on both queues, beside the real workflows."""
    script = Script(client, name)
    async with script.working():
        yield script
