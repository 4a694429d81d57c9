"""Active time of an agent: its model calls and commands, never queues, pauses or downtime."""

from headway.domain.results import Result
from headway.eventlog.events.conversation import LlmResponse, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentStart, TurnStart


class ActiveTime:
    """Keeps two numbers, of the newest attempt or turn.

    Attributes:
        replies: Number of the model's replies.
        active_s: Seconds.
    """

    def __init__(self) -> None:
        self.replies = 0
        self.active_s = 0.0

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case AgentStart() | TurnStart():
                self.replies, self.active_s = 0, 0.0
            case LlmResponse():
                self.replies += 1
        self.active_s += work_ms(event) / 1000


def work_ms(event: AnyEvent) -> float:
    """The milliseconds for which an event kept its agent at work."""
    if event.dur_ms is None:
        return 0.0
    match event.body:
        case LlmResponse():
            return event.dur_ms
        case ToolResult(result=Result(active=True)):
            return event.dur_ms
        case _:
            return 0.0
