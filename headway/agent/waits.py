"""The waits of a model call in its agent's log: a person is shown that the agent waits, for what, and since when."""

from collections.abc import Callable
from typing import Any

from headway.domain.events import EventType
from headway.model.gate import ASKS, Beat


def noting_waits(beat: Beat, resource: str, note: Callable[[EventType, dict[str, Any]], object]) -> Beat:
    """`beat`, which also notes when a call begins to wait for `resource`, and when that wait is over."""
    waits = False

    def noting(why: str) -> None:
        nonlocal waits
        if waits != (why != ASKS):
            waits = not waits
            note("resource.wait", {"resource": resource, "why": why} if waits else {"over": True})
        beat(why)

    return noting
