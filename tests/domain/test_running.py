from typing import Any

import pytest

from headway.domain.check import CheckVerdict
from headway.domain.decisions.planner import SIGNALS_PER_RUN
from headway.domain.decisions.run import continue_due
from headway.domain.details import planner_details, run_details
from headway.domain.errors import UserError
from headway.domain.figures import Figures, RunFigures, Seen
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid, child_id, key_of
from headway.domain.messages import Grant
from headway.domain.model_outage import ModelOutage
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.orders.set_limits import SetLimits
from headway.domain.planner_turn import Decision
from headway.domain.run import Outcome, Published, outcome_of
from headway.domain.run_status import notes, status
from headway.domain.spec import RunSpec
from headway.domain.state.budget import MICRO, UNLIMITED, Amount, Bill
from headway.domain.state.planner_facts import PlannerEnd
from headway.domain.state.run import RunState
from headway.domain.state.run_facts import ATTENTION_SECONDS
from headway.domain.tree import TreeNode
from tests.domain.booked import lend_more, to_start
from tests.domain.builders import (
    COMMIT,
    INCARNATION,
    NOW,
    ROOT,
    RUN,
    an_ask,
    notice,
    outcome,
    planner,
    prepared,
    spawned,
    take,
)

PASSED = CheckVerdict(commit=COMMIT, passed=True, why="passed")
FAILED = CheckVerdict(commit=COMMIT, passed=False, why="exit code 1")
EVERYTHING = Amount(tokens=1_000_000, tasks=100)


def begun() -> tuple[RunState, ChildKey]:
    """A run whose root planner is at work."""
    state = RunState()
    return state, state.open(prepared(), NOW)


def handed(root: ChildKey, status: HandoffStatus = HandoffStatus.DONE, tokens: int = 700) -> HandoffNotice:
    return notice(root, status, tokens)


@pytest.mark.parametrize(
    ("status", "verdict", "expected"),
    [
        (HandoffStatus.DONE, PASSED, Outcome.DONE),
        (HandoffStatus.DONE, FAILED, Outcome.PARTIAL),
        (HandoffStatus.DONE, None, Outcome.DONE_UNPROVEN),
        (HandoffStatus.NOT_NEEDED, PASSED, Outcome.DONE),
        (HandoffStatus.NOT_NEEDED, FAILED, Outcome.PARTIAL),
        (HandoffStatus.NOT_NEEDED, None, Outcome.DONE_UNPROVEN),
        *((HandoffStatus.PARTIAL, verdict, Outcome.PARTIAL) for verdict in (PASSED, FAILED, None)),
        *((HandoffStatus.BLOCKED, verdict, Outcome.PARTIAL) for verdict in (PASSED, FAILED, None)),
        *((HandoffStatus.FAILED, verdict, Outcome.FAILED) for verdict in (PASSED, FAILED, None)),
        *((HandoffStatus.CANCELLED, verdict, Outcome.CANCELLED) for verdict in (PASSED, FAILED, None)),
    ],
)
def test_a_run_is_done_only_if_its_check_passes(
    status: HandoffStatus, verdict: CheckVerdict | None, expected: Outcome
) -> None:
    assert outcome_of(status, verdict) is expected
    unpublished = Outcome.PARTIAL if expected in {Outcome.DONE, Outcome.DONE_UNPROVEN} else expected
    assert outcome_of(status, verdict, "no pushes today") is unpublished


def test_the_root_planner_is_lent_everything() -> None:
    state, root = begun()
    assert child_id(AgentId(RUN), root) == ROOT
    assert state.children is not None
    assert (state.children.open[root].granted, state.children.account.balance) == (EVERYTHING, Amount())
    assert (state.phase, state.branch, state.trunk) == ("running", "headway/demo/main", COMMIT)


SPEC = RunSpec(repo="/srv/repository", instructions="Tidy up.")


def holding() -> tuple[RunState, ChildKey]:
    """A run whose root planner asks for more than everything."""
    state, root = begun()
    assert state.children is not None
    state.children.take_ask(an_ask(root, EVERYTHING, Amount(tokens=10)))
    assert lend_more(state, NOW + 5) is None
    return state, root


def test_at_its_limit_a_run_holds_and_says_what_lets_it_go_on() -> None:
    state, _ = holding()
    assert (state.phase, state.overdue) == ("hold", NOW + 5 + 72 * 3600)
    assert notes(state)[-1] == (
        "on hold: the limit is used up or reserved, and all agents wait: 10 tokens more is needed, 10 tokens for the "
        "next agent alone; `headway limits demo --tokens 2000000` raises it"
    )
    assert status(state)["waits_until"] == state.overdue
    assert "headway limits demo" in run_details(state)


def test_a_hold_that_nobody_ends_ends_with_what_there_is() -> None:
    state, _ = holding()
    assert lend_more(state, state.overdue - 1) is None
    assert lend_more(state, state.overdue) == Grant(total=EVERYTHING, final=True)
    assert state.phase == "running"


def test_a_raised_limit_ends_a_hold_and_goes_to_the_root_planner_at_once() -> None:
    state, _ = holding()
    said = SetLimits(request="1", tokens=1_500_000).apply(state, None, NOW)
    assert said.startswith("the run may use 1,500,000 tokens, 100 tasks")
    more = EVERYTHING + Amount(tokens=500_000)
    assert lend_more(state, NOW + 9) == Grant(total=more)
    assert (state.phase, state.granted) == ("running", more)
    assert lend_more(state, NOW + 9) is None


def test_a_root_planner_for_which_a_raise_is_not_enough_has_the_run_hold_anew() -> None:
    state, root = holding()
    SetLimits(request="1", tokens=1_000_001).apply(state, None, NOW)
    grant = lend_more(state, NOW + 9)
    assert grant is not None
    assert state.children is not None
    state.children.take_ask(an_ask(root, grant.total, Amount(tokens=9)))
    assert lend_more(state, NOW + 10) is None
    assert (state.phase, state.parked_at) == ("hold", NOW + 10)


def test_a_root_planner_that_helped_itself_ends_the_hold() -> None:
    state, root = holding()
    assert state.children is not None
    state.children.take_ask(an_ask(root, EVERYTHING, Amount()))
    assert lend_more(state, NOW + 9) == Grant(total=EVERYTHING)
    assert state.phase == "running"


def test_a_lowered_limit_is_recalled_and_lent_again_only_within_it() -> None:
    state, root = begun()
    said = SetLimits(request="1", tokens=300_000).apply(state, None, NOW)
    assert "300,000 tokens" in said
    assert state.book.control.recall == state.book.control.renewed == 1
    assert lend_more(state, NOW) is None, "the root planner still holds more than that"
    assert state.children is not None
    kept = Amount(tokens=250_000, tasks=10)
    state.children.take_ask(an_ask(root, kept, Amount(), version=(1, 1)))
    assert lend_more(state, NOW) == Grant(total=Amount(tokens=300_000, tasks=100), grant_version=(1, 1))


def test_no_limit_is_lower_than_what_is_used_up() -> None:
    state, root = begun()
    state.tree = TreeNode(
        id=ROOT, key=root, kind="planner", title="T", state="waits", spent=Bill(tokens=7_000, tasks=3, usd=0.0)
    )
    SetLimits(request="1", tokens=5, tasks=1).apply(state, None, NOW)
    assert state.granted == Amount(tokens=7_000, tasks=3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, "names no limit"),
        ({"usd": 5.0}, "models.worker.price of a new run's input sets the price"),
        ({"usd_per_hour": 5.0}, "limits.usd_per_hour: a model of this run has no price"),
    ],
)
def test_a_change_that_cannot_be_kept_is_refused(change: dict[str, Any], problem: str) -> None:
    state, _ = begun()
    assert state.prepared is not None
    state.prepared = state.prepared.model_copy(update={"unpriced": ("models.worker.price",)})
    with pytest.raises(UserError, match=problem):
        SetLimits(request="1", **change).check(state, RUN)


def test_hours_count_from_the_start_of_the_run_and_go_with_the_control_record() -> None:
    state, _ = begun()
    SetLimits(request="1", hours=2.0).apply(state, None, NOW)
    assert state.book.control.deadline_of(None) == NOW + 7200
    SetLimits(request="2", hours="none").apply(state, None, NOW)
    assert state.book.control.deadline_of(NOW) is None


def test_dollars_an_hour_go_with_the_control_record_and_take_nothing_back() -> None:
    state, _ = begun()
    assert state.prepared is not None
    context = state.prepared.context.model_copy(update={"bounds_dollars": True})
    state.prepared = state.prepared.model_copy(update={"context": context})
    assert state.book.control.in_force(context).in_force(SPEC) is SPEC, "nothing was changed"
    said = SetLimits(request="1", usd_per_hour=2.5).apply(state, None, NOW)
    assert "dollars (2.50 of them an hour)" in said
    assert (state.book.control.renewed, state.book.control.recall) == (1, 0)
    assert state.book.control.in_force(context).in_force(SPEC).limits.usd_per_hour == 2.5
    SetLimits(request="2", hours=3.0).apply(state, None, NOW)
    assert state.book.control.limits == {"usd_per_hour": 2.5}, "what is left out stays as it is"
    assert "any number of them an hour" in SetLimits(request="3", usd_per_hour="none").apply(state, None, NOW)
    assert state.book.control.in_force(context).in_force(SPEC).limits.usd_per_hour == UNLIMITED / MICRO


def test_an_order_that_comes_twice_is_carried_out_once() -> None:
    state, _ = begun()
    order = SetLimits(request="1", tokens=5_000_000)
    state.take_order(order, NOW)
    state.take_order(order, NOW)
    assert state.asked == [order]
    state.carry_out(state.asked.pop(), None, NOW)
    state.take_order(order, NOW)
    assert state.asked == []


def test_the_root_planner_s_first_word_counts() -> None:
    state, root = begun()
    state.take_handoff(handed(root))
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    assert state.root == handed(root)
    assert status(state)["spent"] == {"tokens": 700, "tasks": 1, "usd": None}, "no model of this run has a price"


def test_a_handoff_before_the_run_began_is_left_to_the_audit() -> None:
    state = RunState()
    state.take_handoff(handed(key_of(ROOT)))
    assert state.root is None


def test_a_failed_root_planner_parks_the_run_for_its_user() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    state.park(NOW)
    assert (state.phase, state.overdue) == ("needs_attention", NOW + ATTENTION_SECONDS)
    assert any("headway resume" in note for note in notes(state))


def test_a_reset_of_the_failed_root_planner_counts_with_all_that_it_used_up() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED, tokens=700))
    state.park(NOW)
    state.take_handoff(handed(root, HandoffStatus.DONE, tokens=900))
    assert state.root == handed(root, HandoffStatus.DONE, tokens=900)
    assert state.children is not None
    assert state.children.account.below.tokens == 900


def test_another_root_planner_goes_on_with_what_is_left_and_the_failed_one_is_heard_no_more() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED, tokens=700))
    state.park(NOW)
    other = state.begin_again()
    assert other != root
    assert state.children is not None
    assert state.children.open[other].granted == EVERYTHING - Amount(tokens=700, tasks=1)
    assert (state.phase, state.root) == ("running", None)
    state.take_handoff(handed(root, HandoffStatus.DONE, tokens=900))
    assert (state.root, state.children.account.below.tokens) == (None, 700)
    state.take_handoff(handed(other, tokens=50))
    assert state.root == handed(other, tokens=50)


def test_a_run_is_carried_on_as_it_is() -> None:
    state, root = begun()
    state.tree = TreeNode(id=ROOT, key=root, kind="planner", title="x", state="waits", counts={"open": 3})
    state.verdict = FAILED
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    state.park(NOW)
    state.begin_again()
    assert RunState.model_validate(state.model_dump(mode="json", by_alias=True)) == state.carried()


@pytest.mark.parametrize(
    ("signals", "suggested", "due"), [(0, False, False), (SIGNALS_PER_RUN, False, True), (0, True, True)]
)
def test_a_long_history_is_closed(signals: int, *, suggested: bool, due: bool) -> None:
    state, _ = begun()
    state.signals = signals
    assert continue_due(state, suggested=suggested) is due


def test_a_branch_that_could_not_be_moved_is_told() -> None:
    state, _ = begun()
    state.take_publication(Published(trunk=COMMIT, branch="headway/demo/main", problem="no permission"), NOW)
    assert notes(state) == ("no permission",)
    assert "**Note:** no permission" in run_details(state)
    state.take_publication(Published(trunk=COMMIT, branch="headway/demo/main", told="it was put back"), NOW)
    assert notes(state) == ("it was put back",)
    state.take_publication(Published(trunk=COMMIT, branch="headway/demo/main"), NOW)
    assert not notes(state)


def test_the_status_of_a_run_before_it_is_prepared() -> None:
    said = status(RunState())
    assert (said["phase"], said["run"], said["granted"]) == ("preparing", None, None)
    assert run_details(RunState()) == "**preparing**"


def test_while_a_run_goes_on_its_status_tells_what_the_tree_last_told() -> None:
    state, root = begun()
    spent = Bill(tokens=5, tasks=1)
    state.tree = TreeNode(id=ROOT, key=root, kind="planner", title="T", state="waits", counts={"open": 3}, spent=spent)
    said = status(state)
    assert (said["planner"], said["counts"], said["spent"]) == (
        {"state": "waits", "title": "T"},
        {"open": 3},
        {"tokens": 5, "tasks": 1, "usd": None},
    )


def test_a_rehearsal_says_so_first() -> None:
    state = RunState()
    state.open(prepared().model_copy(update={"rehearsal": True}), NOW)
    assert run_details(state).startswith("**REHEARSAL**")


def test_a_planner_shows_its_children_its_budget_and_its_notes() -> None:
    state = planner(tokens=1_000_000)
    asked = [spawned(1, index) for index in range(15)]
    take(state, outcome(state, Decision.WAIT, *asked, board="# Plan", own=Amount(tokens=1234)))
    to_start(state.children)
    shown = planner_details(state, "waits")
    assert "**Outstanding (15):**" in shown
    assert f"- `{asked[0].key}` task 1.0 (open)" in shown
    assert "- and 3 more" in shown
    assert "1,234 of 1,000,000 tokens used, 45,000 lent" in shown
    assert shown.endswith("**Scratchpad:**\n\n# Plan")


def test_a_closing_planner_says_why() -> None:
    state = planner()
    state.close(PlannerEnd(status=HandoffStatus.PARTIAL, why="the budget is used up"))
    assert "**Closing:** partial · the budget is used up" in planner_details(state, "waits")


def test_lists_show_what_keeps_a_run_from_going_on() -> None:
    assert RunState().stands == "preparing"
    state, _ = begun()
    assert state.stands == "running"
    state.take_order(Pause(request="p", target=AgentId(RUN), why="lunch"), NOW)
    assert state.stands == "paused"
    state.take_order(Resume(request="r", target=AgentId(RUN)), NOW)
    parking = ModelOutage(endpoint="e", model="m", generation=1, parked=True, since=NOW, until=NOW + 60)
    state.apply(parking, NOW)
    assert state.stands == "parked"
    state.apply(parking.model_copy(update={"parked": False, "generation": 2}), NOW)
    state.phase = "needs_attention"
    assert state.stands == "needs attention"
    state.outcome = "partial"
    assert state.stands == "partial"


def test_a_new_limit_goes_by_what_the_logs_summed_to() -> None:
    state, _ = begun()
    state.measured = Amount(tokens=52_296, tasks=3)
    said = SetLimits(request="1", tokens=1).apply(state, None, NOW)
    assert "may use 52,296 tokens" in said
    assert "used up so far: 52,296 tokens, 3 tasks" in said
    assert state.granted == Amount(tokens=52_296, tasks=100)


def test_the_folder_of_a_run_tells_more_than_its_history() -> None:
    state, _ = begun()
    figures = RunFigures(
        run=RUN, at=NOW, total=Figures(spent=Amount(tokens=1_208_241, tasks=60, unpriced=9), commits=7)
    )
    seen = Seen(incarnation=INCARNATION, figures=figures, trunk=Oid("d" * 40))
    said = status(state, seen)
    assert said["spent"] == {"tokens": 1_208_241, "tasks": 60, "usd": None}
    assert (said["commits"], said["trunk"]) == (7, "d" * 40)
    shown = run_details(state, seen)
    assert "1,208,241 tokens, 60 tasks, unpriced, 7 commits landed, of 1,000,000 tokens, 100 tasks" in shown
    assert "no limit in dollars" in shown
    assert "dddddddddddd" in shown
