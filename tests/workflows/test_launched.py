"""An activity that a workflow launched: an error of ours in the booking of its result must fail the workflow task."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio import workflow

from headway.domain.commands import Launch
from headway.domain.ids import AgentId
from headway.domain.run import Publish
from tests.domain.builders import NOW, RUN, context
from workflows import effects, execution, options
from workflows.world import TemporalWorld


class _Wrong(Exception):
    """An error of ours."""


def _booked(result: Any) -> None:
    raise _Wrong(result)


@pytest.mark.parametrize("passes", [0, 10], ids=["while it sleeps", "while something else is awaited"])
def test_an_error_in_the_booking_of_a_result_is_raised(monkeypatch: pytest.MonkeyPatch, passes: int) -> None:
    async def perform(*_: object) -> str:
        return "the result"

    async def wait_condition(awake: Callable[[], bool], **_: object) -> None:
        for _pass in range(10):
            if awake():
                return
            await asyncio.sleep(0)
        raise TimeoutError

    async def life() -> None:
        caller = options.Caller(planner=AgentId(RUN))
        world = TemporalWorld(context, lambda: caller)
        world.launch(Launch(Publish(run=RUN), "publish the trunk"), _booked)
        for _pass in range(passes):
            await asyncio.sleep(0)
        await world.wait(lambda: False, NOW)

    monkeypatch.setattr(effects, "perform", perform)
    monkeypatch.setattr(workflow, "wait_condition", wait_condition)
    monkeypatch.setattr(execution, "now", lambda: NOW)
    with pytest.raises(_Wrong):
        asyncio.run(life())
