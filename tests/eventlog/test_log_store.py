"""What a store of logs promises to whoever opens, forks and reads them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headway.domain.errors import LeaseLost, UserError
from headway.domain.ids import AgentId, Incarnation, RunName
from headway.domain.refs import Ref
from headway.eventlog.events.conversation import Text
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import AgentFork
from headway.eventlog.local_store import LocalStore
from tests.eventlog.shown import shown
from tests.eventlog.steps import LONG, RUN, file_of, say, texts, texts_in
from tests.support.events import answer


class TestRuns:
    def test_the_same_start_of_a_run_may_claim_it_again(self, store: LocalStore) -> None:
        store.claim(RUN, Incarnation("first"))

    def test_another_start_of_the_same_name_is_refused_with_the_ways_out(self, store: LocalStore) -> None:
        with pytest.raises(UserError, match="run of this name") as refused:
            store.claim(RUN, Incarnation("second"))
        assert "another name" in refused.value.remedy
        assert "headway rm demo" in refused.value.remedy

    def test_of_many_claims_at_once_one_wins(self, tmp_path: Path) -> None:
        def claim(number: int) -> bool:
            try:
                LocalStore(tmp_path).claim(RUN, Incarnation(str(number)))
            except UserError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(claim, range(64))) == 1

    def test_a_forgotten_run_is_gone_and_its_name_is_free(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, LONG)
            store.forget(RUN)
            store.claim(RUN, Incarnation("second"))
            assert store.read(agent) == []
            with pytest.raises(LeaseLost):
                say(log, "late")
        with store.open(agent, role="planner") as log:
            say(log, LONG)
        assert texts(store, agent) == [LONG]
        store.forget(RUN)
        store.forget(RUN)

    def test_a_removal_that_was_cut_short_is_finished_by_the_next(self, store: LocalStore, agent: AgentId) -> None:
        store.open(agent, role="planner").close()
        folder = store.run_folder(RUN)
        rest = folder.with_name(f".gone-{'0' * 32}-{RUN}")
        folder.rename(rest)
        other = folder.with_name(f".gone-{'0' * 32}-other-{RUN}")
        other.mkdir()
        (rest / "locked" / "below").mkdir(parents=True)
        (rest / "locked").chmod(0o500)
        assert store.forgotten(RUN) == [rest]
        store.forget(RUN)
        assert store.forgotten(RUN) == []
        assert other.exists()

    @pytest.mark.parametrize("name", ["../x", "", ".", "a/b", "a..b", "-a", "a.lock"])
    def test_a_name_that_is_no_name_is_refused(self, store: LocalStore, name: str) -> None:
        with pytest.raises(UserError):
            store.claim(RunName(name), Incarnation("first"))

    @pytest.mark.parametrize(
        "name", ["demo/../x", "demo/", "demo//a", "demo/.", "demo/run", "demo/a/../../b", "demo/-"]
    )
    def test_an_id_that_is_no_id_opens_nothing(self, store: LocalStore, name: str) -> None:
        with pytest.raises(ValueError, match="no agent's id"):
            store.open(AgentId(name), role="worker")

    def test_everyone_who_wrote_is_listed(self, store: LocalStore) -> None:
        ids = [AgentId(name) for name in ("demo", "demo/root-a", "demo/root-a/1.0-b", "demo/root-a/1.0-b/2.10-c")]
        assert store.agents(RUN) == []
        for name in reversed(ids):
            store.open(name, role="planner").close()
        assert store.agents(RUN) == ids


class TestForks:
    def test_the_line_goes_on_from_an_earlier_event(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            seqs = [say(log, text) for text in "abcd"]
            log.fork(seqs[1])
            assert texts_in(shown(log)) == ["a", "b"]
            say(log, "e")
            assert shown(log) == store.read(agent)
        assert texts(store, agent) == ["a", "b", "e"]
        assert texts(store, agent, upto=seqs[3]) == ["a", "b", "c", "d"]
        assert store.said(Ref(log=agent, seq=seqs[3]), Text).text == "d"
        assert list(bodies(store.all_events(agent), AgentFork)) == [AgentFork(to=seqs[1])]

    def test_a_fork_may_go_back_to_what_was_abandoned(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            seqs = [say(log, text) for text in "abc"]
            log.fork(seqs[0])
            say(log, "d")
            log.fork(seqs[2])
            assert texts_in(shown(log)) == ["a", "b", "c"]
            say(log, "e")
        assert texts(store, agent) == ["a", "b", "c", "e"]

    def test_from_nothing(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, "a")
            log.fork(-1)
            assert shown(log) == []
            say(log, "b")
        assert texts(store, agent) == ["b"]

    def test_to_where_the_line_ends_writes_nothing(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            log.fork(-1)
            last = say(log, "a")
            log.fork(last)
        with store.open(agent, role="planner") as log:
            log.fork(last)
        assert [event.type for event in store.all_events(agent)] == ["agent.lease", "text", "agent.lease"]

    @pytest.mark.parametrize("seq", [-2, 1, 99])
    def test_to_an_event_that_is_not_there_is_refused(self, store: LocalStore, agent: AgentId, seq: int) -> None:
        with store.open(agent, role="planner") as log, pytest.raises(UserError, match="no event"):
            log.fork(seq)


class TestReading:
    def test_a_log_that_nobody_wrote_is_empty(self, store: LocalStore, agent: AgentId) -> None:
        assert store.read(agent) == store.all_events(agent) == []

    @pytest.mark.parametrize("seq", [1, 7])
    def test_a_ref_beyond_the_end_says_what_is_lost(self, store: LocalStore, agent: AgentId, seq: int) -> None:
        store.open(agent, role="planner").close()
        with pytest.raises(UserError, match=f"no event {seq}"):
            store.event(Ref(log=agent, seq=seq))
        with pytest.raises(UserError, match=f"no event {seq}"):
            store.read(agent, upto=seq)

    def test_a_reader_never_sees_half_a_line(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, "a")
            with file_of(store, agent).open("ab") as file:
                file.write(b'{"v":1,"seq":2')
            assert texts(store, agent) == ["a"]
            with pytest.raises(UserError):
                store.event(Ref(log=agent, seq=2))

    def test_ten_thousand_events_open_quickly(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            started = time.process_time()
            for number in range(10_000):
                log.append(answer(text="x" * 500), turn=number)
            append_s = (time.process_time() - started) / 10_000
        started = time.process_time()
        with store.open(agent, role="planner") as log:
            assert len(shown(log)) == 10_000
        assert time.process_time() - started < 1
        assert append_s < 0.0005
