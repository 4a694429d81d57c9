"""Activities know the service's time, and no step of this machine's clock moves it."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import as_application_error
from activities.server_time import server_time

BEGAN = 2_000_000_000.0
STEPS = (3, -3, 3_600, -3_600, 31_536_000, -31_536_000)


def begun() -> ActivityEnvironment:
    """An attempt that the service started at `BEGAN`."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.fromtimestamp(BEGAN, UTC))
    return environment


@pytest.mark.parametrize("step_s", STEPS)
async def test_it_is_that_of_the_service_through_every_step(step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[], float] = time.time

    @as_application_error
    async def effect() -> tuple[float, float]:
        before = server_time()
        monkeypatch.setattr(time, "time", lambda: real() + step_s)
        return before, server_time()

    before, after = await begun().run(effect)
    assert BEGAN <= before <= after <= BEGAN + 60


def test_outside_an_activity_there_is_none() -> None:
    with pytest.raises(LookupError):
        server_time()
