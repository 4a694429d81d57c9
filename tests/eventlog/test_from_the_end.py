"""A log read from its end gives its live line backwards, and no more of it than is asked for."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.agents.planner.open_task_index import OpenTaskIndex
from headway.agents.tools.catalogue import RESULTS
from headway.domain.ids import AgentId, Incarnation, Oid, RunName
from headway.domain.spec import RunSpec
from headway.eventlog import codec
from headway.eventlog.events.conversation import Text
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.life import HandedOff, RunStart
from headway.eventlog.events.work import Scratchpad
from headway.eventlog.local_store import LocalStore
from headway.eventlog.run_summary import left_by
from tests.support.events import answer, handed_off, started

RUN = RunName("demo")
AGENT = AgentId("demo/root-0a1b2c3d")
WORKER = AgentId("demo/root-0a1b2c3d/1.0-00000000")

STEPS = st.lists(
    st.one_of(st.integers(0, 9_000).map(lambda size: ("text", size)), st.floats(0, 1).map(lambda part: ("fork", part)))
    | st.just(("lease", 0)),
    max_size=25,
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path, results=RESULTS)
    made.claim(RUN, Incarnation("x"))
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    steps=STEPS, first=st.sampled_from([7, 300, 8_192]), torn=st.sampled_from([b"", b"half a li", b"\0" * 50, b"{}\n"])
)
def test_it_is_the_live_line_backwards(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]], first: int, torn: bytes
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("home"), results=RESULTS)
    log = store.open(AGENT, role="planner")
    for count, (kind, value) in enumerate(steps):
        if kind == "text":
            log.append(Text(text="x" * int(value), instructions=str(count)))
        elif kind == "fork":
            log.fork(int(value * log._next) - 1)
        else:
            log.close()
            log = store.open(AGENT, role="planner")
    log.close()
    with pytest.MonkeyPatch.context() as patched, store._path(AGENT).open("ab") as file:
        patched.setattr(codec, "FIRST_CHUNK", first)
        file.write(torn)
        file.flush()
        backwards = [found.resolved(store._blobs_of(RUN)) for found in store.stream(AGENT).back()]
    assert backwards == store.read(AGENT)[::-1]


def test_what_lies_after_a_hole_does_not_count_once_the_reader_comes_to_it(store: LocalStore) -> None:
    with store.open(AGENT, role="planner") as log:
        for number in range(200):
            log.append(Text(instructions=f"number {number}", text="x" * 500))
    path = store._path(AGENT)
    whole = path.read_bytes()
    start = whole.index(b'"number 150"')
    path.write_bytes(whole[: start - 50] + b"\0" * 4_096 + whole[start + 4_046 :])
    live = [text.instructions for text in bodies(store.read(AGENT), Text)]
    back = [text.instructions for text in bodies((found.event for found in store.stream(AGENT).back()), Text)]
    assert live == [f"number {number}" for number in range(150)]
    assert back[-150:] == live[::-1]


def test_the_end_of_a_long_log_costs_its_end(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.open(WORKER, role="worker") as log:
        for _ in range(2_000):
            log.append(answer(text="x" * 4_000))
        log.append(handed_off())
    read, whole = [], os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        read.append(size)
        return whole(fd, size, at)

    monkeypatch.setattr(os, "pread", counted)
    assert OpenTaskIndex(store, RUN)._has_ended(WORKER)
    last = store.newest(WORKER, HandedOff)
    assert last is not None
    assert last.type == "handoff"
    assert sum(read) <= 2 * codec.FIRST_CHUNK


def test_a_task_whose_next_attempt_is_at_work_has_not_ended(store: LocalStore) -> None:
    with store.open(WORKER, role="worker") as log:
        log.append(started())
        log.append(handed_off(retry=True))
        assert OpenTaskIndex(store, RUN)._has_ended(WORKER)
        log.append(started(2))
        assert not OpenTaskIndex(store, RUN)._has_ended(WORKER)


def test_what_a_run_left_is_read_from_the_ends_of_its_logs(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.open(AgentId(RUN), role="run") as log:
        log.append(RunStart(spec=RunSpec(repo="/x", instructions="y"), base=Oid("0" * 40)), sync=True)
    with store.open(AGENT, role="planner") as log:
        log.append(Scratchpad(content="first"))
        log.append(Text(text="x" * 2_000_000))
        log.append(Scratchpad(content="notes"))
    monkeypatch.setattr(LocalStore, "read", None)
    left = left_by(store, RUN)
    assert left is not None
    assert left.scratchpad == "notes"
