"""The views of a planner's turn, built in one pass over its log."""

from headway.eventlog.store import AgentLog
from headway.eventlog.views.active_time import ActiveTime
from headway.eventlog.views.children import Children, Past
from headway.eventlog.views.interrupted import Interrupted
from headway.eventlog.views.paid import Paid
from headway.eventlog.views.scratchpad import Notes
from headway.eventlog.views.turn import Rounds, Turn


class Planning:
    """Follows a planner's log; one that forks needs another of these.

    Args:
        log: The planner's log.
        key: The turn's key.
        from_seq: The place where the planner's history stands.
    """

    def __init__(self, log: AgentLog, key: str, from_seq: int) -> None:
        self.paid = Paid()
        self.time = ActiveTime()
        self.past = Past()
        self.children = Children(self.past)
        self.turn = Turn(key, from_seq)
        self.rounds = Rounds()
        self.notes = Notes()
        self.interrupted = Interrupted()
        line = (self.time, self.children, self.turn, self.rounds, self.notes, self.interrupted)
        log.follow(*line, past=(self.paid, self.past))
