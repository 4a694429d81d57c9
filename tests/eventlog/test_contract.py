"""The contract of the log store: each adapter of the port passes it."""

import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from headway.agents.tools.catalogue import RESULTS
from headway.domain.errors import LeaseLost, TransientError, UserError
from headway.domain.ids import AgentId, ChildKey, Incarnation, RunName, child_id
from headway.domain.refs import Ref
from headway.eventlog.events.conversation import Text, ToolResult
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import AgentFork, AgentLease, HandedOff
from headway.eventlog.events.work import Scratchpad
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import NOTHING_SECRET, Redact, Redactor
from headway.eventlog.store import LogStore
from headway.sandbox.outcome import Ran
from tests.eventlog.memory_store import Killed, Memory, memory_store
from tests.eventlog.shown import Seen, shown
from tests.eventlog.steps import LONG, RUN, file_of, say, texts_in
from tests.support.events import answer, handed_off, reply

ROOT = AgentId("demo/root-0a1b2c3d")


class Adapter(Protocol):
    """A log store and the ways in which a process that uses it dies."""

    def store(self, redact: Redact = NOTHING_SECRET) -> LogStore:
        """The store as a process opens it."""
        ...

    def killed_at(self, write: int) -> AbstractContextManager[None]:
        """A process that dies in the middle of one of its writes, counted from 1."""
        ...

    def tear(self, agent: AgentId) -> None:
        """Half an event at the end of a log, by a process that died with it."""
        ...


class Local:
    """Logs in files."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def store(self, redact: Redact = NOTHING_SECRET) -> LogStore:
        return LocalStore(self.home, redact, RESULTS)

    @contextmanager
    def killed_at(self, write: int) -> Iterator[None]:
        left, whole, synced = itertools.count(write - 1, -1), os.write, os.fsync

        def half(fd: int, data: bytes) -> int:
            if next(left) == 0:
                whole(fd, bytes(data)[: len(data) // 2])
                raise Killed
            return whole(fd, data)

        def never(fd: int) -> None:
            if next(left) == 0:
                raise Killed
            synced(fd)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "write", half)
            patched.setattr(os, "fsync", never)
            yield

    def tear(self, agent: AgentId) -> None:
        with file_of(LocalStore(self.home), agent).open("ab") as file:
            file.write(b'{"v":1,"ts":3.5,"seq":')


class InMemory:
    """Logs in memory."""

    def __init__(self, _: Path) -> None:
        self.memory = Memory()

    def store(self, redact: Redact = NOTHING_SECRET) -> LogStore:
        return memory_store(self.memory, redact)

    @contextmanager
    def killed_at(self, write: int) -> Iterator[None]:
        self.memory.steps = write
        try:
            yield
        finally:
            self.memory.steps = None

    def tear(self, agent: AgentId) -> None:
        self.memory.half.add(agent)


@pytest.fixture(params=[Local, InMemory])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Adapter:
    made: Adapter = request.param(tmp_path)
    made.store().claim(RUN, Incarnation("first"))
    return made


def test_a_run_is_claimed_by_one_start_and_expected_where_it_lives(adapter: Adapter) -> None:
    store = adapter.store()
    store.claim(RUN, Incarnation("first"))
    store.expect(RUN, Incarnation("first"))
    with pytest.raises(UserError):
        store.claim(RUN, Incarnation("second"))
    for run, incarnation in ((RUN, "second"), (RunName("other"), "first")):
        with pytest.raises(TransientError):
            store.expect(run, Incarnation(incarnation))
    store.release(RUN)
    store.claim(RUN, Incarnation("second"))
    store.open(AgentId(RUN), role="run").close()
    store.release(RUN)
    store.expect(RUN, Incarnation("second"))


def test_each_opening_raises_the_lease_and_an_older_holder_writes_nothing_more(adapter: Adapter) -> None:
    old = adapter.store().open(ROOT, role="planner")
    say(old, "mine")
    new = adapter.store().open(ROOT, role="planner")
    assert (old.lease, new.lease) == (1, 2)
    before = adapter.store().all_events(ROOT)
    for attempt in (old.check, lambda: say(old, "late"), lambda: old.fork(-1)):
        with pytest.raises(LeaseLost):
            attempt()
    assert adapter.store().all_events(ROOT) == before
    new.check()
    say(new, "yours")
    assert texts_in(adapter.store().read(ROOT)) == ["mine", "yours"]
    assert texts_in(shown(old)) == ["mine"]
    leases = [event.lease for event in adapter.store().all_events(ROOT)]
    assert leases == [1, 1, 2, 2]
    old.close()
    new.close()


def test_an_event_is_read_as_it_was_answered_whatever_its_length(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        ran = Ran(command="ls", exit_code=0, note="", cpu_s=0.5)
        said = [log.append(body, epoch=1, turn=2, dur_ms=3.5) for body in (Text(text=LONG), answer("shell", LONG, ran))]
        assert shown(log)[0] == said[0]
        assert [event.seq for event in shown(log)] == [event.seq for event in said]
        assert log.epoch == 1
        assert list(log.replay(1)) == said
        assert list(log.replay(0)) == []
    store = adapter.store()
    assert store.read(ROOT) == list(store.stream(ROOT))[1:] == said
    assert [event.seq for event in store.stream(ROOT).skimmed()] == [0, 1, 2]
    assert [store.event(Ref(log=ROOT, seq=event.seq)) for event in said] == said
    assert store.said(Ref(log=ROOT, seq=2), ToolResult) == said[1].body
    for wrong in (0, 3):
        with pytest.raises(UserError, match="no event"):
            store.said(Ref(log=ROOT, seq=wrong), ToolResult)


def test_secrets_are_taken_out_before_an_event_is_seen_by_any_reader(adapter: Adapter) -> None:
    with adapter.store(Redactor(("secret-1",))).open(ROOT, role="planner") as log:
        said = log.append(reply("secret-1", items=({"a": ["secret-1"]},)))
        assert (said.body.text, said.body.items) == ("[redacted]", ({"a": ["[redacted]"]},))
        assert log.redacted("secret-1") == log.without_our_secrets("secret-1") == "[redacted]"
    assert adapter.store().read(ROOT) == [said]


def test_a_prefix_stays_what_it_was_when_the_line_forks(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        seqs = [say(log, text) for text in "abcd"]
        prefix = adapter.store().read(ROOT, seqs[3])
        log.fork(seqs[1])
        assert texts_in(shown(log)) == ["a", "b"]
        say(log, "e")
        assert shown(log) == adapter.store().read(ROOT)
        assert adapter.store().read(ROOT, seqs[3]) == prefix
        log.fork(seqs[2])
        assert texts_in(shown(log)) == ["a", "b", "c"], "a fork may go back to what was abandoned"
        before = adapter.store().all_events(ROOT)
        log.fork(seqs[2])
        assert adapter.store().all_events(ROOT) == before, "to where the line ends nothing is written"
        say(log, "f")
        log.fork(-1)
        assert shown(log) == []
        for nowhere in (-2, 99):
            with pytest.raises(UserError, match="no event"):
                log.fork(nowhere)
    store = adapter.store()
    assert store.read(ROOT) == []
    assert texts_in(store.all_events(ROOT)) == list("abcdef")
    assert [fork.to for fork in bodies(store.all_events(ROOT), AgentFork)] == [seqs[1], seqs[2], -1]
    for beyond in (-1, 99):
        with pytest.raises(UserError, match="no event"):
            store.read(ROOT, beyond)


def test_the_newest_live_event_of_a_type_is_found(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        kept = log.append(Scratchpad(content="kept"))
        log.append(Scratchpad(content="abandoned"))
        log.fork(kept.seq)
    store = adapter.store()
    assert store.newest(ROOT, Scratchpad) == store.last(ROOT) == kept
    assert store.newest(ROOT, HandedOff) is None
    assert store.last(child_id(ROOT, ChildKey("1.0-00000000"))) is None


def test_agents_are_listed_in_the_order_of_their_ids(adapter: Adapter) -> None:
    child = child_id(ROOT, ChildKey("1.0-00000000"))
    for agent in (child, ROOT, AgentId(RUN)):
        adapter.store().open(agent, role="planner").close()
    assert adapter.store().agents(RUN) == [AgentId(RUN), ROOT, child]
    assert adapter.store().agents(RunName("other")) == []


def test_a_holder_loses_the_log_of_a_run_that_is_forgotten(adapter: Adapter) -> None:
    log = adapter.store().open(ROOT, role="planner")
    adapter.store().forget(RUN)
    with pytest.raises(LeaseLost):
        say(log, "late")
    assert adapter.store().agents(RUN) == []
    adapter.store().claim(RUN, Incarnation("second"))
    log.close()


def test_notes_for_others_are_replaced_and_taken_back(adapter: Adapter) -> None:
    child = child_id(ROOT, ChildKey("1.0-00000000"))
    store = adapter.store()
    store.leave(child, b"first")
    store.leave(ROOT, b"root")
    store.leave(child, b"second")
    assert list(adapter.store().left(RUN, 4)) == [(ROOT, b"root"), (child, b"seco")]
    store.leave(ROOT, None)
    store.leave(ROOT, None)
    assert list(adapter.store().left(RUN, 100)) == [(child, b"second")]


def test_views_are_shown_what_was_written_and_what_is_appended_until_the_line_forks(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        kept = say(log, LONG)
        say(log, "abandoned")
        log.fork(kept)
        say(log, "b")
    line, past = Seen(), Seen()
    with adapter.store().open(ROOT, role="planner") as log:
        log.follow(line, past=[past])
        say(log, "c")
        assert texts_in(line.events) == [LONG, "b", "c"]
        assert [event.type for event in line.events] == ["text"] * 3
        assert past.events == adapter.store().all_events(ROOT)
        log.fork(kept)
        before = list(line.events)
        say(log, "d")
        assert line.events == before
        again = Seen()
        log.follow(again)
        say(log, "e")
        assert again.events == adapter.store().read(ROOT)
        assert texts_in(again.events) == [LONG, "d", "e"]


def test_a_reader_that_comes_again_is_shown_what_was_added(adapter: Adapter) -> None:
    tail, seen = adapter.store().tail(ROOT), Seen()
    assert tail.catch_up(seen, Seen) is seen
    for count in (2, 0, 1):
        with adapter.store().open(ROOT, role="planner") as log:
            for number in range(count):
                say(log, str(number))
        assert tail.catch_up(seen, Seen) is seen
        assert seen.events == adapter.store().all_events(ROOT)
        tail.catch_up(seen, Seen)
        assert len(seen.events) == len(adapter.store().all_events(ROOT))


def test_a_fence_holds_until_a_newer_holder_opens_the_log(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        fence = log.fence()
        say(log, "mine")
        assert adapter.store().holds(fence)
        adapter.store().open(ROOT, role="planner").close()
        assert not adapter.store().holds(fence)
        adapter.store().forget(RUN)
        assert not adapter.store().holds(fence)


def test_a_lost_holder_shows_its_views_nothing_more(adapter: Adapter) -> None:
    old = adapter.store().open(ROOT, role="planner")
    seen = Seen()
    old.follow(seen, past=[seen])
    count = len(seen.events)
    adapter.store().open(ROOT, role="planner").close()
    with pytest.raises(LeaseLost):
        say(old, "late")
    assert len(seen.events) == count
    old.close()


def test_half_an_event_at_the_end_of_a_log_is_none(adapter: Adapter) -> None:
    with adapter.store().open(ROOT, role="planner") as log:
        say(log, "kept")
        adapter.tear(ROOT)
        assert texts_in(adapter.store().read(ROOT)) == ["kept"]
    with adapter.store().open(ROOT, role="planner") as log:
        assert log.lease == 2
        say(log, "more")
    assert texts_in(adapter.store().read(ROOT)) == ["kept", "more"]
    assert len(list(bodies(adapter.store().all_events(ROOT), AgentLease))) == 2


def test_what_was_acknowledged_outlives_a_kill_at_every_write(adapter: Adapter) -> None:
    """And what was not is there whole or not at all; the next holder goes on behind it."""
    asked = ["a", LONG, "b", "c", LONG + "d"]
    lines = [asked[:count] for count in range(len(asked) + 1)] + [asked[:2], [*asked[:2], "handoff"]]
    for write in itertools.count(1):
        agent, done = AgentId(f"demo/root-{write:08x}"), 0
        try:
            with adapter.killed_at(write):
                log = adapter.store().open(agent, role="planner")
                for text in asked:
                    say(log, text, sync=True)
                    done += 1
                log.fork(shown(log)[1].seq)
                done += 1
                log.append(handed_off(), sync=True)
                done += 1
        except Killed:
            assert done < len(lines) - 1
        with adapter.store().open(agent, role="planner") as log:
            found = [event.body.text if isinstance(event.body, Text) else event.type for event in shown(log)]
            assert found in lines[done : done + 2]
            say(log, "more")
        events = adapter.store().all_events(agent)
        assert [event.seq for event in events] == list(range(len(events)))
        assert texts_in(adapter.store().read(agent)) == [*(text for text in found if text != "handoff"), "more"]
        if done == len(lines) - 1:
            break
    assert write > 15
