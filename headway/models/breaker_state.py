"""The number of calls of one model that may be under way at once, by the answers of its server.

Pure: `now` is given, by a clock that is never set (`headway.system.steady`).

Free        nothing was refused: no bound
Parked      a call was refused: nothing leaves until the reset
Probing     the reset has come, no answer yet: one call; a second and a third if the first takes long
Ramping     calls are answered again: a bound that doubles up to where it last went wrong, then grows by one a round
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["rate", "quota", "key", "address", "model", "tools", "unreachable", "failing"]
"""Reason of a server's refusals: too many calls now; no quota left; the key; the address is no API; the model's name;
flags that the server was started without; no connection; failures, call after call."""

PROBES = 3
"""Calls that may be wasted to find out that the way is still closed, of a quarter of an hour."""
PROBE_AGAIN_S = 30.0
"""A probe that has no answer after so long is helped by a second, then by a third: it may be a long thought."""
FAILED_S = 5.0
"""From a probe that got no answer to the next one."""
FREE_AT = 1000.0
"""A bound above the number of agents of one machine is no bound any more."""
LONGEST_S = 3600.0
"""Even a server that names a later reset is asked once an hour."""

_WAITS: dict[Kind, tuple[float, ...]] = {
    "rate": (10, 60, 300, 900),
    "quota": (60, 300, 900),
    "key": (60,),
    "address": (60,),
    "model": (60,),
    "tools": (60,),
    "unreachable": (2, 5, 10, 20, 30),
    "failing": (5, 10, 30, 60, 300),
}
"""Seconds from a refusal to the next try, where the server names no later reset; by refusals in a row. Of a quarter of
an hour without quota, three tries are wasted at most."""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The state of the way to one model.

    Attributes:
        generation: Number of times it was closed; tells answers to calls that left before from those that left after.
        refusals: Number in a row, without an answer between; 0 when it is open.
        since: Start of the row; once it is open again, time of that.
        until: Time from which the next call may leave.
        bound: Most calls at once when it is open; infinite when nothing was refused lately.
        turn: The bound at which growth changes from doubling to one a round.
    """

    generation: int = 0
    refusals: int = 0
    since: float = 0.0
    until: float = 0.0
    bound: float = math.inf
    turn: float = math.inf
    kind: Kind = "rate"
    why: str = ""
    remedy: str = ""

    @property
    def free(self) -> bool:
        """Nothing needs to be counted."""
        return self.refusals == 0 and self.bound == math.inf

    @property
    def closed(self) -> bool:
        """Refused, and not answered since."""
        return self.refusals > 0

    def permits(self, now: float, pace: float = 1.0) -> float:
        """Calls that may be under way at once. `pace` shortens every wait of ours, for tests."""
        if not self.closed:
            return max(1.0, math.floor(self.bound)) if self.bound < math.inf else math.inf
        if now < self.until:
            return 0
        left = max(1, PROBES + 1 - self.refusals)
        return min(left, 1 + (now - self.until) // (PROBE_AGAIN_S * pace))

    def refused(  # noqa: PLR0917 - what a refusal says
        self,
        left: int,
        kind: Kind,
        delay_s: float | None,
        why: str,
        remedy: str,
        now: float,
        *,
        pace: float = 1.0,
        probe: bool = False,
    ) -> "BreakerState":
        """After a refusal of a call that left in generation `left`; each one of a `probe` counts."""
        if left < self.generation and not (probe and self.closed):
            # It left before the way was closed, so it tells nothing new; unless it names a later reset.
            later = now + min(delay_s or 0.0, LONGEST_S)
            return replace(self, until=later) if self.closed and delay_s is not None and later > self.until else self
        waits = _WAITS[kind]
        own = waits[min(self.refusals, len(waits) - 1)] * pace
        first_word = self.refusals == 0 and delay_s is not None
        wait = min(delay_s or 0.0, LONGEST_S) if first_word else max(own, min(delay_s or 0.0, LONGEST_S))
        turn = self.turn
        if kind == "rate" and not self.closed and self.bound < math.inf:
            turn = max(1.0, self.bound / 2)
        return BreakerState(
            generation=self.generation + 1,
            refusals=self.refusals + 1,
            since=self.since if self.closed else now,
            until=now + wait,
            bound=float(PROBES),
            turn=turn,
            kind=kind,
            why=why,
            remedy=remedy,
        )

    def failed(self, left: int, now: float, pace: float = 1.0) -> "BreakerState":
        """After a call that got no answer: a probe that fails proves neither that the way is open nor that it is not.

        Another one tries soon, alone as well; it is no refusal, after which waits grow.
        """
        if not self.closed or left < self.generation:
            return self
        return replace(self, generation=self.generation + 1, until=max(self.until, now + FAILED_S * pace))

    def answered(self, left: int, now: float) -> "BreakerState":
        """After an answer to a call that left in generation `left`."""
        if left < self.generation or self.free:
            return self
        if self.closed:
            return replace(self, refusals=0, since=now, until=now)
        bound = self.bound + (1 if self.bound < self.turn else 1 / self.bound)
        return (
            BreakerState(generation=self.generation, since=self.since)
            if bound >= FREE_AT
            else replace(self, bound=bound)
        )
