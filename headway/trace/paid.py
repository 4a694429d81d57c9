"""The amount that an agent paid, folded from its log one event at a time. A fork of the log gives nothing back.

Before a call its worst case is reserved, which is noted with the request. The answer settles it. A call that was cut
off, by a connection or by the end of the process, counts as reserved: the server may have been at work to the end. With
a smaller count a run could exceed its limit at every kill.
"""

from typing import Any

from headway.domain.budget import Amount

ENDS = frozenset({"agent.lease", "handoff"})
"""Whoever waited for an answer is gone: a new holder took the log over, or the agent handed off."""


class Paid:
    """All model calls of an agent, in the order of its log, those that a fork abandoned included.

    Attributes:
        settled: Usage of calls that were answered or cut off, without tasks.
        reserved: The worst case of the call that is under way.
        calls: How many were answered.
    """

    def __init__(self) -> None:
        self.settled = Amount()
        self.reserved = Amount()
        self.calls = 0

    def take(self, kind: str, data: dict[str, Any]) -> None:
        """Take in the next event."""
        if kind == "llm.request":
            self.settled, self.reserved = self.settled + self.reserved, amount_in(data.get("reserved"))
        elif kind == "llm.response":
            self.settled, self.reserved, self.calls = self.settled + amount_in(data), Amount(), self.calls + 1
        elif kind == "llm.retry":
            self.settled += self.reserved if data.get("cut_off") else amount_in(data)
            self.reserved = Amount()
        elif kind in ENDS:
            self.settled, self.reserved = self.settled + self.reserved, Amount()


def amount_in(data: dict[str, Any] | None) -> Amount:
    """An amount as an event tells it: its price is null where it is not known."""
    if not data or "tokens" not in data:
        return Amount()
    tokens, micro_usd = int(data["tokens"]), data.get("micro_usd")
    return Amount(tokens=tokens, unpriced=tokens) if micro_usd is None else Amount(tokens=tokens, micro_usd=micro_usd)
