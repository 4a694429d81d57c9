"""An agent's usage by its log (`headway.eventlog.views.paid`), and the worst case of its next call."""

from collections.abc import Iterable
from dataclasses import dataclass

from headway.domain.errors import HeadwayError, TransientError
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Cost, LlmRetry
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.views.paid import Paid
from headway.models.failures import FatalModelError, Unusable
from headway.models.meter import Meter

NOTHING = Amount()


@dataclass(frozen=True)
class Usage:
    """All model calls of an agent.

    Attributes:
        amount: Their usage, without tasks.
        calls: Number of answered calls.
    """

    amount: Amount = NOTHING
    calls: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all calls."""
        return self.amount.tokens


@dataclass
class Gauge:
    """Size of the newest answered request: bytes as they were sent, tokens as they were reported."""

    asked: int = 0
    nbytes: int = 0
    tokens: int | None = None


def noted(amount: Amount) -> Cost:
    """An amount as an event tells it: without a price where that is not known."""
    return Cost(tokens=amount.tokens, micro_usd=None if amount.unpriced else amount.micro_usd)


def of_failure(error: HeadwayError, reserve: Amount, meter: Meter) -> tuple[Amount, bool]:
    """Usage of a call that failed, and whether it was cut off.

    A call that was cut off counts as its reserve, unless the server told its usage all the same.
    """
    billed = error.billed if isinstance(error, Unusable | FatalModelError) else None
    if billed is not None:
        return meter.settle(billed), False
    cut_off = isinstance(error, TransientError) and error.cut_off
    return reserve if cut_off else Amount(), cut_off


def failed(step: int, error: HeadwayError, final: str, spent: Amount, *, cut_off: bool) -> LlmRetry:
    """The event that tells of a failed call. The usage of one that was cut off is its reserve, which its request tells.

    Args:
        step: Number of the call.
        error: The failure.
        final: Its kind where the same call would meet it again.
        spent: Usage of the call.
        cut_off: The call was cut off.
    """
    told = None if cut_off or not spent else noted(spent)
    return LlmRetry(
        step=step,
        kind=type(error).__name__,
        why=str(error),
        final=final,
        cut_off=cut_off,
        tokens=told.tokens if told else None,
        micro_usd=told.micro_usd if told else None,
    )


def usage_of(events: Iterable[AnyEvent]) -> Usage:
    """The sum over events in physical order, abandoned ones included. A call under way counts as reserved."""
    paid = Paid()
    for event in events:
        paid.apply(event)
    return used_by(paid)


def used_by(paid: Paid) -> Usage:
    """The sum so far. A call under way counts as reserved."""
    return Usage(paid.settled + paid.reserved, paid.calls)


def missing(paid: Amount, reserve: Amount, granted: Amount, *, dollars: bool) -> Amount:
    """The part of the next call that a grant lacks; nothing when the call may be made."""
    short = paid + reserve - granted
    return Amount(tokens=max(0, short.tokens), micro_usd=max(0, short.micro_usd) if dollars else 0)
