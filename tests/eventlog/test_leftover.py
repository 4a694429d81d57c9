"""What a run left behind, as its logs tell it."""

from typing import Any

from headway.domain.handoff import Handoff, HandoffReport, HandoffStatus
from headway.domain.ids import AgentId, Oid, RunName
from headway.domain.limit_table import Limits
from headway.domain.spec import RunSpec
from headway.eventlog.events.life import HandedOff, RunEnd, RunStart
from headway.eventlog.events.work import Scratchpad
from headway.eventlog.local_store import LocalStore
from headway.eventlog.run_summary import left_by
from tests.eventlog.shown import shown

RUN = RunName("demo")
ROOT, LATER = AgentId("demo/root-00000001"), AgentId("demo/root-00000002")
SPEC = RunSpec(repo="/somewhere", instructions="Do it.", limits=Limits(tasks=7))


def begin(store: LocalStore) -> None:
    with store.open(AgentId(RUN), role="run") as log:
        log.append(RunStart(spec=SPEC, base=Oid("a" * 40), incarnation="first"))


def hand_off(store: LocalStore, agent: AgentId, status: HandoffStatus, **said: Any) -> None:
    report = HandoffReport(status=status, summary="said", **said)
    with store.open(agent, role="planner") as log:
        log.append(HandedOff(handoff=Handoff(agent=agent, title=f"Title of {agent}", report=report)))


def note(store: LocalStore, agent: AgentId, content: str) -> None:
    with store.open(agent, role="planner") as log:
        log.append(Scratchpad(content=content))


def test_a_run_without_logs_or_without_a_start_left_nothing(store: LocalStore) -> None:
    assert left_by(store, RunName("nobody")) is None
    note(store, ROOT, "early")
    assert left_by(store, RUN) is None


def test_what_was_asked_comes_back_as_a_spec(store: LocalStore) -> None:
    begin(store)
    found = left_by(store, RUN)
    assert found is not None
    assert (found.spec.limits.tasks, found.base, found.outcome) == (7, "a" * 40, "")
    assert (found.scratchpad, found.handoffs) == ("", ())


def test_the_notes_are_those_of_the_root_planner_that_worked_last_and_handoffs_begin_with_it(store: LocalStore) -> None:
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


def test_a_fork_takes_the_notes_back(store: LocalStore) -> None:
    begin(store)
    note(store, ROOT, "kept")
    with store.open(ROOT, role="planner") as log:
        last = shown(log)[-1].seq
        log.append(Scratchpad(content="abandoned"))
        log.fork(last)
    found = left_by(store, RUN)
    assert found is not None
    assert found.scratchpad == "kept"


def test_a_run_that_wrote_its_report_says_how_it_ended(store: LocalStore) -> None:
    begin(store)
    with store.open(AgentId(RUN), role="run") as log:
        log.append(RunEnd(run=RUN, outcome="partial", summary="", branch="", trunk=Oid(""), commits=0))
    found = left_by(store, RUN)
    assert found is not None
    assert found.outcome == "partial"
