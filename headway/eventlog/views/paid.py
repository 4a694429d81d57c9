"""The amount that an agent paid, folded from its log one event at a time. A fork of the log gives nothing back.

Before a call its worst case is reserved, which is noted with the request. The answer settles it. A call that was cut
off, by a connection or by the end of the process, counts as reserved: the server may have been at work to the end. With
a smaller count a run could exceed its limit at every kill.
"""

from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import LlmRequest, LlmResponse, LlmRetry
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentLease, HandedOff


class Paid:
    """All model calls of an agent, in the order of its log, those that a fork abandoned included.

    Attributes:
        settled: Usage of calls that were answered or cut off, without tasks.
        reserved: The worst case of the call that is under way.
        calls: Number of answered calls.
    """

    def __init__(self) -> None:
        self.settled = Amount()
        self.reserved = Amount()
        self.calls = 0

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the log."""
        match event.body:
            case LlmRequest(reserved=reserved):
                self.settled += self.reserved
                self.reserved = reserved.amount if reserved else Amount()
            case LlmResponse(cost=cost):
                self.settled, self.reserved, self.calls = self.settled + cost.amount, Amount(), self.calls + 1
            case LlmRetry(cut_off=cut_off, cost=cost):
                self.settled += self.reserved if cut_off else cost.amount
                self.reserved = Amount()
            case AgentLease() | HandedOff():  # the holder that waited for an answer is gone
                self.settled, self.reserved = self.settled + self.reserved, Amount()
