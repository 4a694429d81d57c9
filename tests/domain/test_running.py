import pytest

from headway.domain.budget import Amount
from headway.domain.check import CheckVerdict
from headway.domain.details import planner_details, run_details
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, key_of
from headway.domain.outstanding import Answer
from headway.domain.planning import SIGNALS_PER_RUN
from headway.domain.run import Outcome, Published, outcome_of
from headway.domain.running import ATTENTION_SECONDS, RunState
from headway.domain.tree import TreeNode
from headway.domain.turn import Decision
from tests.domain.builders import COMMIT, NOW, ROOT, RUN, notice, outcome, planner, prepared, spawned, take

PASSED = CheckVerdict(commit=COMMIT, passed=True, why="passed")
FAILED = CheckVerdict(commit=COMMIT, passed=False, why="exit code 1")
EVERYTHING = Amount(tokens=1_000_000, tasks=100)


def begun() -> tuple[RunState, ChildKey]:
    """A run whose root planner is at work."""
    state = RunState()
    return state, state.begin(prepared(), NOW)


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


def test_the_root_planner_is_lent_everything() -> None:
    state, root = begun()
    assert child_id(AgentId(RUN), root) == ROOT
    assert state.books is not None
    assert (state.books.children[root].lent, state.books.purse.balance) == (EVERYTHING, Amount())
    assert (state.phase, state.branch, state.trunk) == ("running", "headway/demo/main", COMMIT)


def test_a_root_planner_that_asks_for_more_than_everything_is_refused() -> None:
    state, root = begun()
    assert state.books is not None
    state.books.take_ask(root, EVERYTHING, Amount(tokens=10))
    assert state.books.answers() == (Answer(child=root, total=EVERYTHING, final=True),)


def test_the_root_planner_s_first_word_counts() -> None:
    state, root = begun()
    state.take_handoff(handed(root))
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    assert state.root == handed(root)
    assert state.status()["spent"] == {"tokens": 700, "tasks": 1}


def test_a_handoff_before_the_run_began_is_left_to_the_audit() -> None:
    state = RunState()
    state.take_handoff(handed(key_of(ROOT)))
    assert state.root is None


def test_a_failed_root_planner_parks_the_run_for_its_user() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    state.park(NOW)
    assert (state.phase, state.overdue) == ("needs_attention", NOW + ATTENTION_SECONDS)
    assert any("headway resume" in note for note in state.notes)


def test_a_reset_of_the_failed_root_planner_counts_with_all_that_it_used_up() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED, tokens=700))
    state.park(NOW)
    state.take_handoff(handed(root, HandoffStatus.DONE, tokens=900))
    assert state.root == handed(root, HandoffStatus.DONE, tokens=900)
    assert state.books is not None
    assert state.books.purse.below.tokens == 900


def test_another_root_planner_goes_on_with_what_is_left_and_the_failed_one_is_heard_no_more() -> None:
    state, root = begun()
    state.take_handoff(handed(root, HandoffStatus.FAILED, tokens=700))
    state.park(NOW)
    other = state.begin_again()
    assert other != root
    assert state.books is not None
    assert state.books.children[other].lent == EVERYTHING - Amount(tokens=700, tasks=1)
    assert (state.phase, state.root) == ("running", None)
    state.take_handoff(handed(root, HandoffStatus.DONE, tokens=900))
    assert (state.root, state.books.purse.below.tokens) == (None, 700)
    state.take_handoff(handed(other, tokens=50))
    assert state.root == handed(other, tokens=50)


def test_a_run_is_carried_on_as_it_is() -> None:
    state, root = begun()
    state.tree = TreeNode(id=ROOT, key=root, kind="planner", title="x", state="waits", counts={"open": 3})
    state.verdict = FAILED
    state.take_handoff(handed(root, HandoffStatus.FAILED))
    state.park(NOW)
    state.begin_again()
    assert RunState.model_validate(state.model_dump(mode="json", by_alias=True)) == state


@pytest.mark.parametrize(
    ("signals", "suggested", "due"), [(0, False, False), (SIGNALS_PER_RUN, False, True), (0, True, True)]
)
def test_a_long_history_is_closed(signals: int, *, suggested: bool, due: bool) -> None:
    state, _ = begun()
    state.signals = signals
    assert state.continue_due(suggested=suggested) is due


def test_a_branch_that_could_not_be_moved_is_told() -> None:
    state, _ = begun()
    state.take_publication(Published(trunk=COMMIT, branch="headway/demo/main", problem="no permission"), NOW)
    assert state.notes == ("no permission",)
    assert "**Note:** no permission" in run_details(state)


def test_the_status_of_a_run_before_it_is_prepared() -> None:
    status = RunState().status()
    assert (status["phase"], status["run"], status["granted"]) == ("preparing", None, None)
    assert run_details(RunState()) == "**preparing**"


def test_while_a_run_goes_on_its_status_tells_what_the_tree_last_told() -> None:
    state, root = begun()
    spent = Amount(tokens=5, tasks=1)
    state.tree = TreeNode(id=ROOT, key=root, kind="planner", title="T", state="waits", counts={"open": 3}, spent=spent)
    status = state.status()
    assert (status["planner"], status["counts"], status["spent"]) == (
        {"state": "waits", "title": "T"},
        {"open": 3},
        {"tokens": 5, "tasks": 1},
    )


def test_a_rehearsal_says_so_first() -> None:
    state = RunState()
    state.begin(prepared().model_copy(update={"rehearsal": True}), NOW)
    assert run_details(state).startswith("**REHEARSAL**")


def test_a_planner_shows_its_children_its_budget_and_its_notes() -> None:
    state = planner(tokens=1_000_000)
    asked = [spawned(1, index) for index in range(15)]
    take(state, outcome(state, Decision.WAIT, *asked, board="# Plan", own_tokens=1234))
    state.books.to_start()
    shown = planner_details(state, "waits")
    assert "**Outstanding (15):**" in shown
    assert f"- `{asked[0].key}` task 1.0 (open)" in shown
    assert "- and 3 more" in shown
    assert "1,234 of 1,000,000 tokens used, 75,000 lent" in shown
    assert shown.endswith("**Scratchpad:**\n\n# Plan")


def test_a_closing_planner_says_why() -> None:
    state = planner()
    state.close(HandoffStatus.PARTIAL, "the budget is used up")
    assert "**Closing:** partial · the budget is used up" in planner_details(state, "waits")
