"""What follows from a log's events alone."""

from headway.domain.ids import AgentId
from headway.eventlog.events.work import ResourceWait
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.active_time import ActiveTime
from headway.sandbox.outcome import Ran
from tests.support.events import answer, reply, started


class TestFold:
    def test_active_time_is_that_of_model_calls_and_commands(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            log.append(reply(), dur_ms=1500)
            log.append(reply())
            log.append(answer("shell", result=Ran(command="ls", exit_code=0, note="")), dur_ms=500)
            log.append(answer("read_file"), dur_ms=50_000)
            log.append(ResourceWait(over=True), dur_ms=60_000)
            time = ActiveTime()
            log.follow(time)
            assert (time.active_s, time.replies) == (2.0, 2)
            log.append(started(2))
            assert (time.active_s, time.replies) == (0, 0)
