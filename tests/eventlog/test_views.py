"""Views: what they tell of a log that is read again is what its events told them one by one."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.agents.tools.catalogue import RESULTS
from headway.agents.worker.finish_checks import Commands
from headway.domain.ids import AgentId, Incarnation, run_of
from headway.eventlog.blobs import Blobs
from headway.eventlog.codec import Codec
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import AgentFork, AgentLease
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import View
from headway.eventlog.views.active_time import ActiveTime
from headway.eventlog.views.attempt import AttemptRecord
from headway.eventlog.views.children import Children, Past
from headway.eventlog.views.epoch import Epoch
from headway.eventlog.views.guards import Guards
from headway.eventlog.views.interrupted import Interrupted
from headway.eventlog.views.paid import Paid
from headway.eventlog.views.scratchpad import Notes
from headway.eventlog.views.turn import Rounds, Turn
from tests.eventlog.lives import PLANNING, TALKING, TURNS, WORKING, line_of, lives
from tests.support import events

CODEC = Codec(RESULTS)
RECORDED = sorted((Path(__file__).parent / "recorded_logs").glob("*.jsonl"))


class Views:
    """One view of each kind; `past` take every event, `line` the live ones, `epoch` those of the newest epoch."""

    def __init__(self) -> None:
        past = Past()
        turns = (Turn(key, 3) for key in TURNS)
        work = (AttemptRecord(1), AttemptRecord(2), Commands("make test"), Interrupted())
        self.past: list[View] = [past, Paid()]
        self.line: list[View] = [Children(past), Rounds(), Notes(), ActiveTime(), *turns, *work]
        self.epoch: list[View] = [Epoch(), Guards()]

    def answers(self) -> list[dict[str, Any]]:
        """All that they can be asked without an argument. The order of what they list counts."""
        return [_answers(view) for view in (*self.past, *self.line, *self.epoch)]


def _answers(view: View) -> dict[str, Any]:
    found = {name: getattr(view, name) for name in dir(view) if not name.startswith("_")}
    return {
        name: list(value.items()) if isinstance(value, dict) else value
        for name, value in found.items()
        if not callable(value)
    }


def folded(log: list[AnyEvent], opened: int) -> Views:
    """Views that took the events of a log one by one, as they were written; a holder opened it before the place."""
    views = Views()
    lease = events.event(AgentLease(host="here", pid=1, boot="1"), opened)
    for each in (*log[:opened], lease, *log[opened:]):
        for view in views.past:
            view.apply(each)
    line = line_of(log)
    epoch = max((each.epoch for each in line), default=0)
    for each in line:
        for view in (*views.line, *(views.epoch if each.epoch == epoch else ())):
            view.apply(each)
    return views


class Disk:
    """A log on the disk that is written by its lines, and opened anew at each place."""

    def __init__(self, folder: Path, log: list[AnyEvent]) -> None:
        self.agent = log[0].agent if log else AgentId("run/root-00000000")
        self.store = LocalStore(folder, results=RESULTS)
        self.store.claim(run_of(self.agent), Incarnation("first"))
        home = self.store.run_folder(run_of(self.agent))
        self.file = home / "logs" / f"{self.agent.partition('/')[2]}.jsonl"
        self.file.parent.mkdir(parents=True)
        blobs = Blobs(home / "blobs")
        self.lines = [CODEC.encode(event, event.body.wire(), blobs) for event in log]

    def resumed(self, length: int) -> Views:
        """Views of the next holder of the first events."""
        self.file.write_bytes(b"".join(self.lines[:length]))
        views = Views()
        with self.store.open(self.agent, role="planner") as log:
            log.follow(*views.line, past=views.past)
            for event in log.replay(log.epoch):
                for view in views.epoch:
                    view.apply(event)
        return views


def goes_on(views: Views, log: list[AnyEvent], cut: int) -> int:
    """Let views take the events from a place on, up to the next fork or epoch; the place of that."""
    line = line_of(log[:cut])
    epoch = max((each.epoch for each in line), default=0)
    for at, event in enumerate(log[cut:], cut):
        if isinstance(event.body, AgentFork) or event.epoch != epoch:
            return at
        for view in (*views.past, *((*views.line, *views.epoch) if event.type != "agent.lease" else ())):
            view.apply(event)
    return len(log)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here dies."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@cache
def recorded(path: Path) -> list[AnyEvent]:
    """A whole log of an agent that lived."""
    lines = path.read_bytes().splitlines()
    return [found.event for found in CODEC.events_in((0, line) for line in lines)]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_views_of_a_recorded_log_are_the_same_after_each_of_its_events(path: Path, tmp_path: Path) -> None:
    log = recorded(path)
    disk = Disk(tmp_path, log)
    for cut in range(len(log) + 1):
        views = disk.resumed(cut)
        assert views.answers() == folded(log[:cut], cut).answers()
        end = goes_on(views, log, cut)
        assert views.answers() == folded(log[:end], cut).answers()


def test_the_views_of_a_planner_that_a_reset_took_back_and_that_finished() -> None:
    log = recorded(Path(__file__).parent / "recorded_logs" / "planner.jsonl")
    past, turn = Past(), Turn("k5", 47)
    children, rounds, notes = Children(past), Rounds(), Notes()
    for event in log:
        past.apply(event)
    for event in line_of(log):
        for view in (children, rounds, notes, turn):
            view.apply(event)
    first = ["1.0-6b694b32", "1.1-c7330ca3", "1.2-43ad147a"]
    again, late = ["3.0-d1af2bcd", "3.1-986fe657"], "4.0-6b694b32"
    assert list(past.asked) == [*first, *again, late]
    assert past.ended == {"k1": 12, "k2": 19, "k3": 28, "k3b": 36, "k4": 44, "k5": 51}
    assert list(children.asked) == [*first, late]
    assert list(children.told) == [first[0], first[2]]
    assert children.concerns == {first[0]: ("Slow: 3 s", "No docs.")}
    assert list(children.recovered) == again
    assert list(children.outstanding) == [first[1], late, *again]
    assert children.to_recover == []
    assert (rounds.undecided, rounds.told_of_few, list(rounds.steers)) == (0, True, [])
    assert (notes.content, notes.is_stale(20), notes.is_stale(21)) == ("Plan: four tasks.", False, True)
    assert turn.moved
    assert turn.finish is not None


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(lives(*PLANNING, *TALKING), lives(*WORKING, *TALKING)), st.data())
def test_views_of_a_resumed_agent_are_those_of_one_that_never_stopped(
    tmp_path_factory: pytest.TempPathFactory, log: list[AnyEvent], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(log)))
    views = Disk(tmp_path_factory.mktemp("log"), log).resumed(cut)
    assert views.answers() == folded(log[:cut], cut).answers()
    end = goes_on(views, log, cut)
    assert views.answers() == folded(log[:end], cut).answers()
