"""What follows from a log's events alone."""

from headway.domain.ids import AgentId
from headway.eventlog.branch import active_seconds
from headway.eventlog.events.work import ResourceWait
from headway.eventlog.local_store import LocalStore
from headway.sandbox.outcome import Ran
from tests.support.events import answer, reply


class TestFold:
    def test_active_time_is_that_of_model_calls_and_commands(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            log.append(reply(), dur_ms=1500)
            log.append(reply())
            log.append(answer("shell", result=Ran(command="ls", exit_code=0, note="")), dur_ms=500)
            log.append(answer("read_file"), dur_ms=50_000)
            log.append(ResourceWait(over=True), dur_ms=60_000)
            assert active_seconds(log.line) == 2.0
        assert active_seconds([]) == 0
