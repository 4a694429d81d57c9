"""What follows from a log's events alone."""

from headway.domain.ids import AgentId
from headway.trace.fold import active_seconds, live_line
from headway.trace.log_store import LogStore
from tests.trace.steps import say


class TestFold:
    def test_active_time_is_that_of_model_calls_and_commands(self, store: LogStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            log.append("llm.response", {}, dur_ms=1500)
            log.append("llm.response", {})
            log.append("tool.result", {"name": "shell"}, dur_ms=500)
            log.append("tool.result", {"name": "read_file"}, dur_ms=50_000)
            log.append("resource.wait", {}, dur_ms=60_000)
            assert active_seconds(log.line) == 2.0
        assert active_seconds([]) == 0

    def test_the_live_line_of_events_is_what_the_store_reads(self, store: LogStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            for text in "abc":
                say(log, text)
            log.fork(2)
        assert live_line(store.all_events(agent)) == store.read(agent)
