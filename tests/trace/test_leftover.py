"""What a run left behind, as its logs tell it."""

from typing import Any

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, RunName
from headway.trace.leftover import left_by
from headway.trace.log_store import LogStore

RUN = RunName("demo")
ROOT, LATER = AgentId("demo/root-00000001"), AgentId("demo/root-00000002")
SPEC = {"repo": "/somewhere", "instructions": "Do it.", "limits": {"tasks": 7}}


def begin(store: LogStore) -> None:
    with store.open(AgentId(RUN), role="run") as log:
        log.append("run.start", {"spec": SPEC, "base": "a" * 40, "incarnation": "first"})


def hand_off(store: LogStore, agent: AgentId, status: HandoffStatus, **said: Any) -> None:
    handoff = {"agent": agent, "title": f"Title of {agent}", "report": {"status": status, "summary": "said", **said}}
    with store.open(agent, role="planner") as log:
        log.append("handoff", {"handoff": handoff, "attempt": 1})


def note(store: LogStore, agent: AgentId, content: str) -> None:
    with store.open(agent, role="planner") as log:
        log.append("scratchpad", {"content": content})


def test_a_run_without_logs_or_without_a_start_left_nothing(store: LogStore) -> None:
    assert left_by(store, RunName("nobody")) is None
    note(store, ROOT, "early")
    assert left_by(store, RUN) is None


def test_what_was_asked_comes_back_as_a_spec(store: LogStore) -> None:
    begin(store)
    found = left_by(store, RUN)
    assert found is not None
    assert (found.spec.limits.tasks, found.base, found.outcome) == (7, "a" * 40, "")
    assert (found.scratchpad, found.handoffs) == ("", ())


def test_the_notes_are_those_of_the_root_planner_that_worked_last_and_handoffs_begin_with_it(store: LogStore) -> None:
    begin(store)
    note(store, ROOT, "old")
    note(store, LATER, "new")
    note(store, AgentId(f"{LATER}/1.0-00000003"), "of a sub-planner")
    hand_off(store, AgentId(f"{LATER}/1.1-00000004"), HandoffStatus.DONE, concerns="c")
    hand_off(store, LATER, HandoffStatus.PARTIAL)
    found = left_by(store, RUN)
    assert found is not None
    assert found.scratchpad == "new"
    assert [handoff.agent for handoff in found.handoffs] == [LATER, f"{LATER}/1.1-00000004"]


def test_a_fork_takes_the_notes_back(store: LogStore) -> None:
    begin(store)
    note(store, ROOT, "kept")
    with store.open(ROOT, role="planner") as log:
        last = log.line[-1].seq
        log.append("scratchpad", {"content": "abandoned"})
        log.fork(last)
    found = left_by(store, RUN)
    assert found is not None
    assert found.scratchpad == "kept"


def test_a_run_that_wrote_its_report_says_how_it_ended(store: LogStore) -> None:
    begin(store)
    with store.open(AgentId(RUN), role="run") as log:
        log.append("run.end", {"outcome": "partial"})
    found = left_by(store, RUN)
    assert found is not None
    assert found.outcome == "partial"
