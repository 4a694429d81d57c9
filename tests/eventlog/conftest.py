"""A log store as the tests of this room use it."""

from pathlib import Path

import pytest

from headway.agents.tools.catalogue import RESULTS
from headway.domain.ids import AgentId, Incarnation
from headway.eventlog.local_store import LocalStore
from tests.eventlog.steps import RUN


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store with one run in it."""
    store = LocalStore(tmp_path, results=RESULTS)
    store.claim(RUN, Incarnation("first"))
    return store


@pytest.fixture
def agent() -> AgentId:
    return AgentId("demo/root-0a1b2c3d")
