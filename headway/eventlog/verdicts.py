"""The newest verdict of the user's check on the trunk, in the run's own log, where every planner finds it."""

from headway.domain.check import CheckVerdict
from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId, RunName
from headway.eventlog.events.work import Check
from headway.eventlog.store import LogStore

TRIES = 5


def note_verdict(store: LogStore, run: RunName, verdict: CheckVerdict) -> None:
    """Write a verdict on a commit of the trunk down."""
    for left in reversed(range(TRIES)):
        try:
            with store.open(AgentId(run), role="run") as log:
                log.append(Check.of(verdict), sync=True)
                return
        except LeaseLost:
            # Somebody else wrote to the run's log in the same moment.
            if not left:
                raise


def newest_verdict(store: LogStore, run: RunName) -> CheckVerdict | None:
    """The newest verdict, if there is one."""
    noted = store.newest(AgentId(run), Check)
    return None if noted is None else noted.body.verdict
