"""Of all who ever held a log, only the newest writes."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId
from headway.eventlog.fence import holds
from headway.eventlog.local_store import LocalStore
from tests.eventlog.shown import shown
from tests.eventlog.steps import RUN, file_of, say, texts, texts_in


class TestLeases:
    def test_each_opening_raises_the_lease_and_goes_on_with_the_line(self, store: LocalStore, agent: AgentId) -> None:
        for lease in (1, 2, 3):
            with store.open(agent, role="planner") as log:
                assert log.lease == lease
                say(log, str(lease))
                assert texts_in(shown(log)) == [str(n) for n in range(1, lease + 1)]
        assert [event.type for event in store.all_events(agent)] == ["agent.lease", "text"] * 3

    def test_an_older_holder_stops_and_changes_nothing(self, store: LocalStore, agent: AgentId) -> None:
        old = store.open(agent, role="planner")
        say(old, "mine")
        old.check()
        new = store.open(agent, role="planner")
        before = file_of(store, agent).read_bytes()
        attempts: list[Callable[[], object]] = [old.check, lambda: say(old, "late"), lambda: old.fork(-1)]
        for attempt in (*attempts, *attempts):
            with pytest.raises(LeaseLost):
                attempt()
        assert file_of(store, agent).read_bytes() == before
        new.check()
        say(new, "yours")
        assert texts(store, agent) == ["mine", "yours"]
        assert texts_in(shown(old)) == ["mine"]
        old.close()
        new.close()

    def test_an_older_holder_in_another_process_stops(self, store: LocalStore, agent: AgentId) -> None:
        script = """
import sys
from pathlib import Path
from headway.domain.errors import LeaseLost
from headway.eventlog.fence import holds
from headway.eventlog.events.conversation import Text
from headway.eventlog.local_store import LocalStore
from headway.eventlog.local_store import LocalStore
log = LocalStore(Path(sys.argv[1])).open(sys.argv[2], role="worker")
number = 0
try:
    while True:
        log.append(Text(text=str(number)))
        number += 1
        if number == 1:
            print("started", flush=True)
except LeaseLost:
    print(number)
"""
        home = store.run_folder(RUN).parent.parent
        with subprocess.Popen([sys.executable, "-c", script, home, agent], stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "started\n"
            with store.open(agent, role="worker") as log:
                taken = texts_in(shown(log))
                for _ in range(100):
                    say(log, "new")
            written = int(other.stdout.read())
        assert taken == [str(number) for number in range(written)]
        assert texts(store, agent) == taken + ["new"] * 100
        leases = [event.lease for event in store.all_events(agent)]
        assert leases == sorted(leases)

    def test_of_many_that_open_at_once_one_holds_on(self, store: LocalStore, agent: AgentId) -> None:
        with ThreadPoolExecutor(8) as pool:
            logs = list(pool.map(lambda _: store.open(agent, role="worker"), range(32)))
        assert sorted(log.lease for log in logs) == list(range(1, 33))
        for log in sorted(logs, key=lambda log: log.lease)[:-1]:
            with pytest.raises(LeaseLost):
                log.check()
        max(logs, key=lambda log: log.lease).check()
        for log in logs:
            log.close()

    def test_a_newer_one_that_died_before_its_first_line_was_whole_takes_nothing(
        self, store: LocalStore, agent: AgentId
    ) -> None:
        with store.open(agent, role="planner") as log:
            with file_of(store, agent).open("ab") as file:
                file.write(b'{"v":1,"seq":1,"lease":2,"ty')
            say(log, "goes on")
            log.check()
        assert texts(store, agent) == ["goes on"]


class TestFences:
    """What tells another process that a holder still has its lease."""

    def test_it_holds_while_the_holder_goes_on(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            fence = log.fence()
            assert holds(fence)
            say(log, "more")
            assert holds(fence)

    def test_it_falls_with_a_newer_lease(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as old:
            fence = old.fence()
            with store.open(agent, role="worker"):
                assert not holds(fence)
        assert not holds(fence)

    def test_it_falls_with_the_log(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            fence = log.fence()
        file_of(store, agent).unlink()
        assert not holds(fence)

    def test_a_newer_holder_that_died_in_its_first_line_never_held_it(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="worker") as log:
            fence = log.fence()
            with file_of(store, agent).open("ab") as file:
                file.write(b'{"seq": 1, "lease": 2, "ty')
            assert holds(fence)
