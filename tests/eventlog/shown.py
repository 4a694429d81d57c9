"""The events that the holder of a log shows its views."""

from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.store import AgentLog


class Seen:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    def apply(self, event: AnyEvent) -> None:
        self.events.append(event)


def shown(log: AgentLog) -> list[AnyEvent]:
    """The live line."""
    seen = Seen()
    log.follow(seen)
    return seen.events
