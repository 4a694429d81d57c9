"""The views of a worker's attempt, built in one pass over its log."""

from headway.eventlog.store import AgentLog, View
from headway.eventlog.views.active_time import ActiveTime
from headway.eventlog.views.attempt import AttemptRecord
from headway.eventlog.views.interrupted import Interrupted
from headway.eventlog.views.paid import Paid
from headway.eventlog.views.scratchpad import Notes


class Working:
    """Follows a worker's log.

    Args:
        log: The worker's log.
        number: The attempt's number.
        more: Views of the caller's own.
    """

    def __init__(self, log: AgentLog, number: int, *more: View) -> None:
        self.paid = Paid()
        self.time = ActiveTime()
        self.attempt = AttemptRecord(number)
        self.notes = Notes()
        self.interrupted = Interrupted()
        log.follow(self.time, self.attempt, self.notes, self.interrupted, *more, past=(self.paid,))
