"""The waits of a model call in its agent's log: a person is shown that the agent waits, for what, and since when."""

from collections.abc import Callable

from headway.domain.progress import Progress
from headway.eventlog.events.work import ResourceWait
from headway.models.circuit_breaker import ASKS


def noting_waits(progress: Progress, resource: str, note: Callable[[ResourceWait], object]) -> Progress:
    """`progress`, which also notes when a call begins to wait for `resource`, and when that wait is over."""
    waits = False

    def noting(why: str) -> None:
        nonlocal waits
        if waits != (why != ASKS):
            waits = not waits
            note(ResourceWait(resource=resource, why=why) if waits else ResourceWait(over=True))
        progress(why)

    return noting
