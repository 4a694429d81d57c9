import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.agents.planner.planner_guards import UNDECIDED_TURNS
from headway.domain.check import CheckVerdict
from headway.domain.decisions.lending import to_drop
from headway.domain.decisions.planner import SIGNALS_PER_RUN, continue_due
from headway.domain.decisions.planner_budget import shortfall
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey
from headway.domain.messages import Grant
from headway.domain.planner_turn import HANDOFFS_PER_TURN, SPAWNS_PER_TURN, ChildKind, Decision, Final, TurnOutcome
from headway.domain.refs import Ref
from headway.domain.state.budget import Amount
from headway.domain.state.children import MAX_OUTSTANDING
from headway.domain.state.planner import PlannerState
from headway.domain.state.planner_facts import BATCH_SECONDS, PlannerEnd, Present
from headway.domain.state.planner_intake import FRESH_EPOCHS, IDLE_WAITS
from tests.domain.booked import Answer, answers, next_turn, tick, to_start
from tests.domain.builders import (
    CALL,
    COMMIT,
    NOW,
    SLICE,
    an_ask,
    context,
    finishing,
    notice,
    outcome,
    planner,
    spawned,
    take,
)

STEER = Ref(log=AgentId("demo"), seq=9)
RED = Final(verdict=CheckVerdict(commit=COMMIT, passed=False, why="exit code 1"))


def at_rest(decision: Decision = Decision.WAIT, tasks: int = 2) -> tuple[PlannerState, list[ChildKey]]:
    """A planner whose first turn asked for tasks, which are at work, and then waits or finished."""
    state = planner()
    asked = [spawned(1, index) for index in range(tasks)]
    told = outcome(state, decision, *asked)
    take(
        state,
        told if decision is not Decision.FINISH else finishing(state).model_copy(update={"spawned": told.spawned}),
    )
    assert to_start(state.children) == tuple(child.key for child in asked)
    return state, [child.key for child in asked]


# When a planner wakes


def test_a_new_planner_takes_its_first_turn_at_once() -> None:
    assert planner().wake_at(NOW) == NOW


@pytest.mark.parametrize(
    ("decision", "later"),
    [
        pytest.param(Decision.GO_ON, 0.0, id="the next turn follows at once"),
        pytest.param(Decision.GAVE_UP, 0.0, id="a fresh epoch follows at once"),
        pytest.param(Decision.WAIT, None, id="waiting costs nothing"),
        pytest.param(Decision.FINISH, None, id="finished with open children is rest"),
    ],
)
def test_after_a_turn_with_children_at_work(decision: Decision, later: float | None) -> None:
    state, _ = at_rest(decision)
    assert state.wake_at(NOW) == (None if later is None else NOW + later)


@pytest.mark.parametrize("decision", [Decision.WAIT, Decision.FINISH])
@pytest.mark.parametrize(
    ("status", "later"),
    [
        (HandoffStatus.DONE, BATCH_SECONDS),
        (HandoffStatus.PARTIAL, 0.0),
        (HandoffStatus.BLOCKED, 0.0),
        (HandoffStatus.NOT_NEEDED, 0.0),
        (HandoffStatus.FAILED, 0.0),
        (HandoffStatus.CANCELLED, 0.0),
    ],
)
def test_a_sleeping_planner_wakes_for_a_handoff(decision: Decision, status: HandoffStatus, later: float) -> None:
    state, keys = at_rest(decision)
    state.take_handoff(notice(keys[0], status), NOW)
    assert state.wake_at(NOW) == NOW + later


def test_the_handoffs_that_follow_do_not_put_the_first_one_off() -> None:
    state, keys = at_rest(tasks=3)
    state.take_handoff(notice(keys[0]), NOW)
    state.take_handoff(notice(keys[1]), NOW + 15)
    assert state.wake_at(NOW + 15) == NOW + BATCH_SECONDS


def test_the_last_handoff_wakes_at_once() -> None:
    state, keys = at_rest(tasks=1)
    state.take_handoff(notice(keys[0]), NOW)
    assert state.wake_at(NOW) == NOW


def test_a_message_of_the_user_wakes_at_once() -> None:
    state, _ = at_rest()
    state.steers.append(STEER)
    assert state.wake_at(NOW) == NOW


def test_a_handoff_that_was_told_before_wakes_nobody() -> None:
    state, keys = at_rest()
    state.take_handoff(notice(keys[0], HandoffStatus.FAILED), NOW)
    take(state, outcome(state, Decision.WAIT))
    assert not state.take_handoff(notice(keys[0], HandoffStatus.FAILED), NOW + 1)
    assert state.wake_at(NOW + 1) is None


def test_a_planner_without_budget_sleeps_until_more_comes() -> None:
    state, _ = at_rest()
    take(state, outcome(state, Decision.OUT_OF_BUDGET, need=Amount(tokens=10**9)))
    state.steers.append(STEER)
    assert state.wake_at(NOW) is None
    assert shortfall(state).tokens >= 10**9


def test_a_closing_planner_waits_for_its_children_only() -> None:
    state, keys = at_rest(tasks=2)
    state.close(PlannerEnd(status=HandoffStatus.PARTIAL, why="enough"))
    state.take_handoff(notice(keys[0], HandoffStatus.FAILED), NOW)
    assert (state.wake_at(NOW), state.end_due()) == (None, None)
    state.take_handoff(notice(keys[1]), NOW)
    assert (state.wake_at(NOW), state.end_due()) == (NOW, PlannerEnd(status=HandoffStatus.PARTIAL, why="enough"))


# What a turn is asked with


def test_a_turn_takes_at_most_a_hundred_handoffs_oldest_first_and_the_rest_comes_next() -> None:
    state = planner(tokens=10**9, tasks=1000)
    take(state, outcome(state, Decision.WAIT, *(spawned(1, index) for index in range(SPAWNS_PER_TURN))))
    take(state, outcome(state, Decision.WAIT, *(spawned(2, index) for index in range(SPAWNS_PER_TURN))))
    keys = list(state.children.open)
    for key in keys[:-1]:
        state.take_handoff(notice(key), NOW)
    order = next_turn(state, "run")
    assert [told.child for told in order.inbox] == keys[:HANDOFFS_PER_TURN]
    state.take_turn(order, outcome(state, Decision.WAIT), NOW + 60)
    assert [told.child for told in next_turn(state, "run").inbox] == keys[HANDOFFS_PER_TURN:-1]
    assert state.wake_at(NOW + 60) == NOW + 60 + BATCH_SECONDS


def test_what_comes_during_a_turn_waits_for_the_next_one() -> None:
    state, keys = at_rest(tasks=3)
    state.take_handoff(notice(keys[0]), NOW)
    order = next_turn(state, "run")
    state.take_handoff(notice(keys[1]), NOW)
    state.steers.append(STEER)
    state.take_turn(order, outcome(state, Decision.GO_ON), NOW)
    again = next_turn(state, "run")
    assert ([told.child for told in again.inbox], again.steers) == ([keys[1]], (STEER,))


@pytest.mark.parametrize("decision", [Decision.OUT_OF_BUDGET, Decision.SUSPENDED])
def test_a_turn_that_was_cut_short_is_asked_for_again_with_everything(decision: Decision) -> None:
    state, keys = at_rest()
    state.take_handoff(notice(keys[0]), NOW)
    state.steers.append(STEER)
    order = next_turn(state, "run")
    state.take_turn(order, outcome(state, decision, own=Amount(tokens=70)), NOW)
    assert state.children.account.own.tokens == 70
    again = next_turn(state, "run")
    assert (again.key, again.turn, again.from_seq) == (order.key, order.turn, order.from_seq)
    assert (again.inbox, again.steers) == (order.inbox, order.steers)


def test_a_turn_goes_on_from_what_the_history_knows_of_the_log() -> None:
    state = planner()
    first = next_turn(state, "run")
    assert (first.turn, first.from_seq, first.key) == (1, -1, "run/1")
    take(state, outcome(state, Decision.GO_ON, seq=17, board="notes"))
    second = next_turn(state, "run")
    assert (second.turn, second.from_seq, second.key) == (2, 17, "run/2")
    assert (state.board, state.pinned) == ("notes", COMMIT)


def test_a_reset_asks_for_the_same_turn_under_another_key() -> None:
    assert next_turn(planner(), "run-1").key != next_turn(planner(), "run-2").key


def test_an_interrupted_turn_keeps_its_place_in_the_log_over_continue_as_new() -> None:
    state = planner()
    asked = next_turn(state, "run-1")
    assert next_turn(state.carried(), "run-2").key == asked.key
    take(state, outcome(state, Decision.GO_ON))
    assert next_turn(state, "run-2").key == "run-2/2"


def test_only_what_a_turn_showed_leaves_the_inbox() -> None:
    state, keys = at_rest(tasks=3)
    for key in keys:
        state.take_handoff(notice(key), NOW)
    asked = next_turn(state, "run")
    state.take_turn(asked, outcome(state, Decision.WAIT).model_copy(update={"told": 2}), NOW)
    assert [left.child for left in state.inbox] == keys[2:]


@pytest.mark.parametrize(
    ("granted", "open_tasks", "spawnable"),
    [
        pytest.param(1000, 1000, SPAWNS_PER_TURN, id="a hundred in one turn"),
        pytest.param(7, 100, 5, id="the tasks that are left, less those that wait"),
        pytest.param(1000, 6, 4, id="those that may be open at once"),
        pytest.param(1000, 1, 0, id="never less than none"),
    ],
)
def test_how_many_tasks_a_turn_may_ask_for(granted: int, open_tasks: int, spawnable: int) -> None:
    state = planner(tokens=10**9, tasks=granted, context=context(open_tasks=open_tasks))
    take(state, outcome(state, Decision.GO_ON, spawned(1, 0), spawned(1, 1)))
    assert next_turn(state, "run").spawnable == spawnable
    to_start(state.children)
    assert next_turn(state, "run").spawnable == spawnable, "lent or waiting, a task counts once"


def test_a_sub_planner_may_ask_for_more_tasks_than_its_slice_holds_until_there_are_no_more() -> None:
    state = planner(tasks=9, depth=3, context=context(open_tasks=1000))
    assert next_turn(state, "run").spawnable == 100
    for index in range(12):
        state.children.ask_for(spawned(1, index))
    assert len(to_start(state.children)) == 9
    assert shortfall(state).tasks == 3, "its parent is asked for what waits"
    state.take_grant(Grant(total=Amount(tokens=1_000_000, tasks=9), final=True))
    assert next_turn(state, "run").spawnable == 0


def test_a_thousand_children_are_enough() -> None:
    state = planner(tokens=10**9, tasks=5000, context=context(open_tasks=MAX_OUTSTANDING))
    for turn in range(1, 11):
        take(state, outcome(state, Decision.GO_ON, *(spawned(turn, index) for index in range(SPAWNS_PER_TURN))))
    order = next_turn(state, "run")
    assert (len(state.children.open), order.spawnable, order.may_delegate) == (MAX_OUTSTANDING, 0, False)


@pytest.mark.parametrize(("depth", "may"), [(1, True), (3, True), (4, False)])
def test_only_above_the_deepest_level_may_a_planner_delegate(depth: int, *, may: bool) -> None:
    assert next_turn(planner(depth=depth)).may_delegate is may


def test_a_planner_s_own_turns_may_use_the_reserve_too_and_ten_calls_where_there_are_so_many() -> None:
    state = planner(tokens=40_000)
    take(state, outcome(state, Decision.WAIT, *(spawned(1, index) for index in range(9)), own=Amount(tokens=500)))
    to_start(state.children)
    order = next_turn(state, "run")
    assert order.balance.tokens == 40_000 - 9 * SLICE - 500
    assert order.allowance.tokens == 500 + 10 * CALL
    for index in range(9):
        state.children.ask_for(spawned(2, index))
    assert to_start(state.children) == (), "what the turn may use is nobody else's while it is at work"
    take(state, outcome(state, Decision.WAIT, own=Amount(tokens=600)))
    assert len(to_start(state.children)) == 2
    assert next_turn(state, "run").allowance.tokens == 40_000 - 11 * SLICE, "the reserve, and what is left"


def test_a_turn_s_own_tokens_are_a_total_so_that_a_retry_counts_once() -> None:
    state = planner()
    for total in (500, 500, 300):
        take(state, outcome(state, Decision.GO_ON, own=Amount(tokens=total)))
    assert state.children.account.own == Amount(tokens=500)


# Waiting for nothing


def test_who_waits_with_nothing_outstanding_is_told_so_and_the_third_time_closed() -> None:
    state = planner()
    for _ in range(IDLE_WAITS - 1):
        take(state, outcome(state, Decision.WAIT))
        assert next_turn(state, "run").nudge
        assert state.wake_at(NOW) == NOW
        assert state.end_due() is None
    take(state, outcome(state, Decision.WAIT))
    ending = state.end_due()
    assert ending == PlannerEnd(
        status=HandoffStatus.PARTIAL, why="the planner waited three times with nothing outstanding"
    )


def test_a_finish_between_takes_waits_in_vain_back() -> None:
    state = planner()
    for decision in (Decision.WAIT, Decision.WAIT, Decision.FINISH, Decision.WAIT, Decision.WAIT):
        take(state, finishing(state) if decision is Decision.FINISH else outcome(state, decision))
    assert state.closing is None


FRUITLESS = (Decision.WAIT, Decision.GAVE_UP, Decision.GO_ON, Decision.FINISH)


@given(st.lists(st.sampled_from(FRUITLESS), min_size=40, max_size=40))
def test_a_planner_that_moves_nothing_ends_whatever_it_says_in_turn(said: list[Decision]) -> None:
    """`GO_ON` without a task is bounded by the agent, which gives up at the third in a row: see `undecided_turns`."""
    state = planner()
    undecided = turns = 0
    for decision in said:
        if state.end_due() is not None:
            break
        undecided = undecided + 1 if decision is Decision.GO_ON else undecided
        if undecided == UNDECIDED_TURNS:
            decision, undecided = Decision.GAVE_UP, 0  # noqa: PLW2901 - as the agent does
        order = next_turn(state, "run-1", RED if state.wants_final() else None)
        state.take_turn(order, finishing(state) if decision is Decision.FINISH else outcome(state, decision), NOW)
        turns += 1
    assert state.end_due() is not None
    # Before and after the one `finish` that is answered with what speaks against it.
    assert turns <= 2 * IDLE_WAITS + (FRESH_EPOCHS + 1) * UNDECIDED_TURNS


@given(st.lists(st.sampled_from([Decision.GAVE_UP, Decision.GO_ON]), min_size=12, max_size=12))
def test_an_agent_that_decides_nothing_while_others_work_is_given_up(said: list[Decision]) -> None:
    state, _ = at_rest()
    for decision in said:
        take(state, outcome(state, decision))
    assert (state.closing is not None) == (said.count(Decision.GAVE_UP) > FRESH_EPOCHS)


def test_a_wait_with_handoffs_waiting_is_not_in_vain() -> None:
    state, keys = at_rest(tasks=1)
    order = next_turn(state, "run")
    state.take_handoff(notice(keys[0]), NOW)
    state.take_turn(order, outcome(state, Decision.WAIT), NOW)
    assert (state.idle_waits, next_turn(state, "run").nudge) == (0, False)


def test_a_wait_with_children_out_is_not_in_vain() -> None:
    state, _ = at_rest()
    assert (state.idle_waits, state.nudge) == (0, False)


# Giving up


def test_an_agent_that_gives_up_gets_three_fresh_epochs() -> None:
    state, keys = at_rest(tasks=1)
    for _ in range(FRESH_EPOCHS):
        take(state, outcome(state, Decision.GAVE_UP, why="no answer"))
        assert next_turn(state, "run").fresh
        assert state.closing is None
    take(state, outcome(state, Decision.GAVE_UP, why="no answer"))
    assert state.closing == PlannerEnd(status=HandoffStatus.FAILED, why="the planner's agent gave up: no answer")
    assert state.end_due() is None, "its children are waited for"
    state.take_handoff(notice(keys[0]), NOW)
    assert state.end_due() == state.closing


def test_an_agent_that_gives_up_behind_each_task_asks_for_few_copies_of_it() -> None:
    state, asked = planner(tasks=100), 0
    while state.closing is None:
        take(state, outcome(state, Decision.GO_ON, spawned(state.turn, 0, "the same")))
        take(state, outcome(state, Decision.GAVE_UP, why="refused"))
        asked += 1
        assert asked <= FRESH_EPOCHS + 1
    assert state.closing.status is HandoffStatus.FAILED


def test_an_agent_that_went_on_may_give_up_again() -> None:
    state, _ = at_rest()
    for decision in (*[Decision.GAVE_UP] * FRESH_EPOCHS, Decision.WAIT, Decision.GAVE_UP):
        take(state, outcome(state, decision))
    assert state.closing is None
    assert next_turn(state, "run").fresh


def test_a_fresh_epoch_that_waits_for_budget_is_still_fresh() -> None:
    state = planner()
    take(state, outcome(state, Decision.GAVE_UP))
    take(state, outcome(state, Decision.OUT_OF_BUDGET, need=Amount(tokens=1)))
    assert next_turn(state, "run").fresh


# Finishing


@pytest.mark.parametrize("status", [HandoffStatus.PARTIAL, HandoffStatus.BLOCKED, HandoffStatus.NOT_NEEDED])
def test_a_finish_that_claims_little_ends_the_planner(status: HandoffStatus) -> None:
    state = planner()
    take(state, finishing(state, status))
    assert not state.wants_final()
    assert state.end_due() == PlannerEnd(status=status, why="That is it.", report=8)


def test_the_first_finish_that_says_done_is_shown_once_what_speaks_against_it() -> None:
    state = planner()
    take(state, finishing(state))
    assert state.wants_final()
    assert (state.end_due(), state.wake_at(NOW)) == (None, NOW)
    order = next_turn(state, "run", RED)
    assert order.final == RED
    state.take_turn(order, finishing(state), NOW)
    assert not state.wants_final()
    ending = state.end_due()
    assert ending is not None
    assert ending.status is HandoffStatus.DONE


def test_who_plans_on_after_that_is_not_shown_it_again() -> None:
    state = planner()
    take(state, finishing(state))
    asked = spawned(2, 0)
    state.take_turn(next_turn(state, "run", RED), outcome(state, Decision.WAIT, asked), NOW)
    assert state.end_due() is None
    state.take_handoff(notice(asked.key), NOW)
    take(state, finishing(state))
    assert not state.wants_final()
    assert state.end_due() is not None


def test_it_is_shown_again_when_the_turn_that_should_show_it_was_cut_short() -> None:
    state = planner()
    take(state, finishing(state))
    state.take_turn(next_turn(state, "run", RED), outcome(state, Decision.SUSPENDED), NOW)
    assert state.wants_final()


@pytest.mark.parametrize("what", ["a child", "a handoff", "a message"])
def test_a_finish_is_rest_and_not_the_end_while_anything_is_open(what: str) -> None:
    state = planner()
    child = spawned(1, 0)
    first = finishing(state, HandoffStatus.PARTIAL).model_copy(update={"spawned": (child,)})
    take(state, first)
    if what != "a child":
        state.take_handoff(notice(child.key), NOW)
    if what == "a message":
        take(state, finishing(state, HandoffStatus.PARTIAL))
        state.steers.append(STEER)
    assert (state.said_finish, state.wants_final(), state.end_due()) == (False, False, None)


@pytest.mark.parametrize("decision", [Decision.GO_ON, Decision.WAIT, Decision.GAVE_UP])
def test_only_the_last_word_counts(decision: Decision) -> None:
    state = planner()
    take(state, finishing(state, HandoffStatus.PARTIAL))
    state.steers.append(STEER)
    take(state, outcome(state, decision))
    assert state.end_due() is None


# Budget


def test_a_planner_asks_its_parent_for_what_its_children_and_its_own_turn_need() -> None:
    state = planner(tokens=2 * SLICE)
    take(state, outcome(state, Decision.WAIT, spawned(1, 0), spawned(1, 1)))
    to_start(state.children)
    assert shortfall(state) == Amount(tokens=SLICE)
    need = Amount(tokens=4 * CALL)  # beyond what the turn may use: one slice is lent and one is free
    take(state, outcome(state, Decision.OUT_OF_BUDGET, need=need, call=need))
    assert shortfall(state) == Amount(tokens=SLICE + 9 * CALL), "the reserve has grown with the conversation"
    alone = planner(tokens=CALL)
    take(alone, outcome(alone, Decision.OUT_OF_BUDGET, need=need, call=need))
    assert shortfall(alone) == Amount(tokens=11 * CALL), "three calls, of which a quarter of one is here"


def test_a_grant_is_a_total_so_that_it_counts_once_in_any_order() -> None:
    state = planner(tokens=100, tasks=1)
    for total in (Amount(tokens=300, tasks=2), Amount(tokens=200, tasks=5), Amount(tokens=300, tasks=2)):
        state.take_grant(Grant(total=total, final=False))
    assert state.children.account.granted == Amount(tokens=300, tasks=5)


def test_a_turn_goes_on_when_enough_was_granted_or_given_back() -> None:
    state = planner(tokens=1000)
    take(state, outcome(state, Decision.OUT_OF_BUDGET, need=Amount(tokens=CALL * 2)))
    state.take_grant(Grant(total=Amount(tokens=1500), final=False))
    tick(state, NOW)
    assert state.wake_at(NOW) is None
    state.take_grant(Grant(total=Amount(tokens=2000), final=False))
    tick(state, NOW)
    assert state.wake_at(NOW) == NOW


def test_without_more_to_come_a_planner_that_needs_more_hands_up_when_its_children_have() -> None:
    state, keys = at_rest(tasks=1)
    take(state, outcome(state, Decision.OUT_OF_BUDGET, need=Amount(tokens=10**9)))
    state.take_grant(Grant(total=Amount(), final=True))
    tick(state, NOW)
    assert state.closing is None, "what its child gives back may do"
    state.take_handoff(notice(keys[0]), NOW)
    tick(state, NOW)
    assert state.end_due() == PlannerEnd(status=HandoffStatus.PARTIAL, why="the budget is used up")


def test_a_child_that_asks_a_closing_planner_is_refused_and_does_not_wait_for_ever() -> None:
    state, child = planner(tokens=2 * SLICE), spawned(1, 0)
    take(state, outcome(state, Decision.WAIT, child))
    to_start(state.children)
    state.close(PlannerEnd(status=HandoffStatus.FAILED, why="gave up"))
    held = Amount(tokens=SLICE, tasks=1)
    state.children.take_ask(an_ask(child.key, held, Amount(tokens=10)))
    assert shortfall(state) == Amount()
    assert answers(state.children) == (Answer(child=child.key, total=held, final=True),)


# The end of time


@pytest.mark.parametrize(("deadline", "closes"), [(None, False), (NOW + 1, False), (NOW, True), (NOW - 1, True)])
def test_at_its_deadline_a_planner_closes(deadline: float | None, *, closes: bool) -> None:
    state = planner(context=context(deadline=deadline))
    tick(state, NOW)
    expected = PlannerEnd(status=HandoffStatus.PARTIAL, why="the run's hours are used up") if closes else None
    assert state.closing == expected


def test_the_first_reason_to_close_stays() -> None:
    state = planner(context=context(deadline=NOW))
    state.close(PlannerEnd(status=HandoffStatus.FAILED, why="gave up"))
    tick(state, NOW)
    assert state.closing == PlannerEnd(status=HandoffStatus.FAILED, why="gave up")


# Continue-as-new


@pytest.mark.parametrize(
    ("handled", "signals", "suggested", "due"),
    [(499, 4999, False, False), (500, 0, False, True), (0, SIGNALS_PER_RUN, False, True), (0, 0, True, True)],
)
def test_a_long_history_is_closed(handled: int, signals: int, *, suggested: bool, due: bool) -> None:
    state = planner(handled=handled, signals=signals)
    assert continue_due(state, suggested=suggested) is due
    assert not continue_due(state.carried(), suggested=False)


def test_everything_but_the_counts_of_this_history_is_carried_on() -> None:
    state, keys = at_rest(tasks=3)
    state.take_handoff(notice(keys[0], HandoffStatus.PARTIAL), NOW)
    state.steers.append(STEER)
    state.signals = 7
    carried = state.carried()
    assert PlannerState.model_validate_json(carried.model_dump_json(by_alias=True)) == carried
    children = state.children.model_copy(update={"settled": 2, "received": {}})
    assert carried == state.model_copy(update={"handled": 0, "signals": 0, "children": children, "present": Present()})
    assert (state.handled, state.signals) == (1, 7)


def test_a_state_of_a_later_version_is_read_without_what_is_unknown() -> None:
    written = planner().model_dump(mode="json", by_alias=True) | {"mood": "fine", "schema": 1}
    assert PlannerState.model_validate(written) == planner()


# Children


def test_a_turn_s_cancels_return_who_must_be_told() -> None:
    state, keys = at_rest(tasks=2)
    waiting = spawned(2, 0, kind=ChildKind.PLANNER)
    told = outcome(state, Decision.WAIT, waiting, cancelled=(keys[1], waiting.key))
    assert take(state, told) == (keys[1],)
    assert to_drop(state.children, closing=False) == (waiting.key,)


def test_a_turn_after_a_reset_takes_over_what_the_lost_past_asked_for() -> None:
    state = planner()
    lost, kept = spawned(1, 0, "one way"), spawned(1, 0, "another way")
    told: TurnOutcome = outcome(state, Decision.WAIT, kept, recovered=(lost,))
    take(state, told)
    assert {key: child.recovered for key, child in state.children.open.items()} == {kept.key: False, lost.key: True}
