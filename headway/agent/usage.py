"""What an agent used up, by its log. Paid is paid: a fork does not give tokens back."""

from collections.abc import Iterable
from dataclasses import dataclass

from headway.domain.events import Event


@dataclass(frozen=True)
class Usage:
    """Tokens and number of all model calls that were answered."""

    tokens: int = 0
    calls: int = 0


def usage_of(events: Iterable[Event]) -> Usage:
    """The sum over events in physical order, abandoned ones included."""
    paid = [event.data["tokens"] for event in events if event.type == "llm.response"]
    return Usage(tokens=sum(paid), calls=len(paid))
