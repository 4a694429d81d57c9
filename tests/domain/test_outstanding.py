import pytest

from headway.domain.decisions.lending import shortfall, to_drop, waits_for
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import ChildKey
from headway.domain.planner_turn import ChildKind, Spawned
from headway.domain.state.budget import CALLS, UNLIMITED, Amount
from headway.domain.state.children import MAX_FOREIGN, RECENT, Children, new_children
from tests.domain.booked import Answer, answers, to_start
from tests.domain.builders import CALL, SIZES, SLICE, TASK, TASK_TOKENS, an_ask, children, notice, spawned

NEXT = TASK_TOKENS // 10
"""The next slice of a task where there is plenty."""


def with_lendable(tokens: int, tasks: int = 100, task_tokens: int = TASK_TOKENS) -> Children:
    """Books that can lend exactly so much, beside the planner's own reserve."""
    sizes = SIZES.model_copy(update={"task": TASK.model_copy(update={"tokens": task_tokens})})
    for granted in (tokens + CALLS * CALL, tokens * 10 // 9):
        made = new_children(Amount(tokens=granted, tasks=tasks), sizes, SIZES.root_call)
        if made.lendable.tokens == tokens:
            return made
    raise AssertionError(tokens)


def asked(made: Children, *children: Spawned) -> list[ChildKey]:
    """Ask for these children."""
    for child in children:
        made.ask_for(child)
    return [child.key for child in children]


def tasks(count: int, turn: int = 1) -> list[Spawned]:
    return [spawned(turn, index) for index in range(count)]


# Starting


def test_what_the_purse_allows_starts_oldest_first_and_the_rest_waits() -> None:
    made = with_lendable(2 * SLICE + 1)
    keys = asked(made, *tasks(3))
    assert to_start(made) == tuple(keys[:2])
    assert to_start(made) == ()
    assert (made.tasks_open, made.waiting) == (3, 1)
    assert made.account.delegated == Amount(tokens=2 * SLICE, tasks=2)


@pytest.mark.parametrize("no_more", [False, True])
def test_one_that_cannot_start_keeps_none_behind_it_from_starting(*, no_more: bool) -> None:
    made = with_lendable(SLICE - 1, task_tokens=CALL)
    made.no_more = no_more
    big, small = asked(made, spawned(1, 0, kind=ChildKind.PLANNER), spawned(1, 1))
    assert to_start(made) == (small,)
    assert (waits_for(made, big), waits_for(made, small)) == (Amount(tokens=SLICE), Amount())
    made.take(notice(small))
    assert to_drop(made, closing=False) == ((big,) if no_more else ())


def test_every_task_counts_against_the_tasks_that_were_granted() -> None:
    made = with_lendable(100 * SLICE, tasks=2)
    keys = asked(made, *tasks(3))
    assert to_start(made) == tuple(keys[:2])
    assert shortfall(made) == Amount(tasks=1)


def test_a_task_without_a_token_limit_can_start() -> None:
    made = with_lendable(SLICE, task_tokens=UNLIMITED)
    keys = asked(made, spawned(1, 0))
    assert to_start(made) == tuple(keys)


# Dropping


@pytest.mark.parametrize("closing", [True, False])
def test_a_cancelled_child_that_never_started_is_dropped(*, closing: bool) -> None:
    made = with_lendable(0)
    key, other = asked(made, *tasks(2))
    assert made.mark_cancelled((key,)) == ()
    assert to_drop(made, closing=closing) == ((key, other) if closing else (key,))
    assert to_start(made) == ()


def test_without_more_to_come_nobody_is_dropped_while_somebody_may_give_back() -> None:
    made = with_lendable(SLICE)
    first, second = asked(made, *tasks(2))
    made.no_more = True
    to_start(made)
    assert to_drop(made, closing=False) == ()
    made.take(notice(first, tokens=SLICE))
    assert to_start(made) == ()
    assert to_drop(made, closing=False) == (second,)


def test_who_could_start_is_not_dropped_even_before_it_was_started() -> None:
    made = with_lendable(SLICE)
    asked(made, *tasks(1))
    made.no_more = True
    assert to_drop(made, closing=False) == ()


# Asking for more


def test_a_child_that_asks_gets_its_next_slice() -> None:
    made = with_lendable(10 * SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    made.take_ask(an_ask(key, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
    assert answers(made) == (Answer(child=key, total=Amount(tokens=SLICE + NEXT, tasks=1)),)
    assert answers(made) == ()
    assert made.account.delegated == Amount(tokens=SLICE + NEXT, tasks=1)


def test_a_child_that_needs_more_than_a_slice_gets_what_it_needs() -> None:
    made = with_lendable(10 * SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    made.take_ask(an_ask(key, Amount(tokens=SLICE, tasks=1), Amount(tokens=3 * SLICE)))
    assert answers(made) == (Answer(child=key, total=Amount(tokens=4 * SLICE + 2 * CALL, tasks=1)),)


def test_a_task_gets_up_to_its_own_limit_and_then_the_last_word() -> None:
    made = with_lendable(10 * TASK_TOKENS)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    held, final = Amount(tokens=SLICE, tasks=1), False
    while not final:
        made.take_ask(an_ask(key, held, Amount(tokens=10)))
        (answer,) = answers(made)
        held, final = answer.total, answer.final
    assert held == Amount(tokens=TASK_TOKENS, tasks=1)
    assert not made.no_more


def test_an_ask_that_comes_twice_is_answered_with_the_same_total() -> None:
    made = with_lendable(10 * SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    for _ in range(2):
        made.take_ask(an_ask(key, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
        assert answers(made) == (Answer(child=key, total=Amount(tokens=SLICE + NEXT, tasks=1)),)


def test_who_cannot_be_served_waits_for_what_comes_from_above_or_back() -> None:
    made = with_lendable(2 * SLICE)
    first, second = asked(made, *tasks(2))
    to_start(made)
    made.take_ask(an_ask(first, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
    assert answers(made) == ()
    assert made.anything_waits
    assert shortfall(made) == Amount(tokens=NEXT), "a usual slice, not a call"
    made.take(notice(second, tokens=0))
    assert answers(made) == (Answer(child=first, total=Amount(tokens=SLICE + 10 + 2 * CALL, tasks=1)),)
    assert not made.anything_waits


def test_without_more_to_come_one_child_at_a_time_is_refused_and_only_when_all_wait() -> None:
    made = with_lendable(3 * SLICE)
    keys = asked(made, *tasks(3))
    to_start(made)
    made.no_more = True
    held = Amount(tokens=SLICE, tasks=1)
    for key in keys[1:]:
        made.take_ask(an_ask(key, held, Amount(tokens=10)))
    assert answers(made) == (), "the first one still works and may give back"
    made.take_ask(an_ask(keys[0], held, Amount(tokens=10)))
    assert answers(made) == (Answer(child=keys[0], total=held, final=True),)
    assert answers(made) == (), "the refused one gives back too"
    made.take(notice(keys[0], tokens=SLICE))
    assert answers(made) == (Answer(child=keys[1], total=held, final=True),)


def test_nobody_is_refused_in_the_breath_in_which_another_is_served() -> None:
    made = with_lendable(3 * SLICE)
    first, second = asked(made, *tasks(2))
    to_start(made)
    made.no_more = True
    held = Amount(tokens=SLICE, tasks=1)
    made.take_ask(an_ask(first, held, Amount(tokens=2 * SLICE)))
    made.take_ask(an_ask(second, held, Amount(tokens=10)))
    assert answers(made) == (Answer(child=second, total=Amount(tokens=SLICE + 10 + 2 * CALL, tasks=1)),)


def test_a_sub_planner_that_waits_is_asked_for_with_its_first_slice() -> None:
    made = with_lendable(SLICE - 1)
    asked(made, spawned(1, 0, kind=ChildKind.PLANNER))
    assert to_start(made) == ()
    assert shortfall(made) == Amount(tokens=1)


def test_an_ask_of_a_child_that_handed_off_changes_nothing() -> None:
    made = with_lendable(10 * SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    made.take(notice(key))
    before = made.model_copy(deep=True)
    made.take_ask(an_ask(key, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
    assert made == before


# Handing off


def test_a_handoff_gives_back_what_was_not_used_up() -> None:
    made = with_lendable(SLICE)
    first, second = asked(made, *tasks(2))
    to_start(made)
    assert made.take(notice(first, HandoffStatus.PARTIAL, tokens=100))
    assert made.account.delegated == Amount()
    assert made.account.below == Amount(tokens=100, tasks=1)
    assert made.tally == {"partial": 1}
    assert list(made.open) == [second]


def test_a_handoff_counts_once() -> None:
    made = with_lendable(SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    assert made.take(notice(key))
    before = made.model_copy(deep=True)
    assert not made.take(notice(key, HandoffStatus.FAILED, tokens=9))
    assert made == before


def test_a_handoff_counts_once_after_continue_as_new_too() -> None:
    made = with_lendable(SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    made.take(notice(key))
    carried = made.settled_before(2)
    assert not carried.take(notice(key))
    (new,) = asked(carried, *tasks(1, turn=2))
    assert list(carried.open) == [new]
    assert carried.take(notice(new))


def test_only_the_last_closed_children_are_named() -> None:
    made = children(tokens=10**9, tasks=1000)
    keys = asked(made, *tasks(RECENT + 5))
    for key in keys:
        made.take(notice(key))
    assert [closed.key for closed in made.recent] == keys[5:]
    assert made.tally == {"done": RECENT + 5}


# Resets


def test_a_handoff_from_a_lost_past_counts_and_is_not_asked_for_again() -> None:
    made = with_lendable(10 * SLICE)
    child = spawned(5, 0)
    assert made.take(notice(child.key, tokens=40))
    asked(made, child)
    assert made.open == {}
    assert made.account.below.tokens == 40
    assert not made.take(notice(child.key, tokens=40))


def test_another_decision_at_the_place_of_a_lost_one_is_asked_for() -> None:
    made = with_lendable(10 * SLICE)
    lost, new = spawned(5, 0, "one way"), spawned(5, 0, "another way")
    made.take(notice(lost.key))
    asked(made, new)
    made.ask_for(lost, recovered=True)
    assert list(made.open) == [new.key]


def test_a_recovered_child_s_handoff_does_not_take_the_place_of_a_later_child() -> None:
    made = with_lendable(10 * SLICE)
    lost, new = spawned(6, 0, "one way"), spawned(6, 0, "another way")
    made.ask_for(lost, recovered=True)
    made.take(notice(lost.key))
    asked(made, new)
    assert list(made.open) == [new.key]
    assert not made.take(notice(lost.key))
    assert made.take(notice(new.key))


def test_what_an_adopted_child_says_it_holds_is_booked_even_beyond_the_purse() -> None:
    made = with_lendable(SLICE)
    child = spawned(5, 0)
    made.ask_for(child, recovered=True)
    made.take_ask(an_ask(child.key, Amount(tokens=9 * SLICE, tasks=1), Amount(tokens=10)))
    assert made.account.delegated == Amount(tokens=9 * SLICE, tasks=1)
    assert made.account.balance.tokens < 0
    assert made.lendable.tokens == 0
    assert to_start(made) == ()


def test_a_child_that_holds_less_than_was_booked_is_told_again() -> None:
    made = with_lendable(10 * SLICE)
    (key,) = asked(made, *tasks(1))
    to_start(made)
    made.take_ask(an_ask(key, Amount(tokens=SLICE - 1, tasks=1), Amount(tokens=10)))
    assert answers(made) == (Answer(child=key, total=Amount(tokens=SLICE, tasks=1)),)


def test_an_ask_that_comes_before_its_child_is_asked_for_is_answered_then() -> None:
    made = with_lendable(10 * SLICE)
    child, held = spawned(5, 0), Amount(tokens=SLICE, tasks=1)
    made.take_ask(an_ask(child.key, held, Amount(tokens=10)))
    assert answers(made) == ()
    asked(made, child)
    assert made.account.delegated == held
    assert answers(made) == (Answer(child=child.key, total=Amount(tokens=SLICE + NEXT, tasks=1)),)
    assert made.early == {}


def test_an_early_ask_is_forgotten_when_its_child_hands_off() -> None:
    made = with_lendable(10 * SLICE)
    child = spawned(5, 0)
    made.take_ask(an_ask(child.key, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
    made.take(notice(child.key))
    asked(made, child)
    assert (made.early, made.open) == ({}, {})


def test_what_a_lost_past_left_behind_is_bounded() -> None:
    made = children()
    for index in range(MAX_FOREIGN + 10):
        made.take(notice(spawned(7, index).key))
        made.take_ask(an_ask(spawned(8, index).key, Amount(tokens=1), Amount(tokens=1)))
    assert (len(made.foreign), len(made.early)) == (MAX_FOREIGN, MAX_FOREIGN)


# Cancelling


def test_a_cancel_is_told_once_to_who_is_at_work_or_may_be() -> None:
    made = with_lendable(SLICE)
    started, waiting = asked(made, *tasks(2))
    recovered = spawned(3, 0)
    made.ask_for(recovered, recovered=True)
    to_start(made)
    keys = (started, waiting, recovered.key, spawned(9, 9).key)
    assert made.mark_cancelled(keys) == (started, recovered.key)
    assert made.mark_cancelled(keys) == ()
    assert to_drop(made, closing=False) == (waiting, recovered.key)


def test_a_sub_planner_that_asks_for_more_than_there_will_ever_be_gets_what_there_is() -> None:
    held = children(tasks=10)
    asked = spawned(1, 0, kind=ChildKind.PLANNER)
    held.ask_for(asked)
    to_start(held)
    held.no_more = True
    lent = held.open[asked.key].granted
    assert lent is not None
    held.take_ask(an_ask(asked.key, lent, Amount(tasks=30)))
    (answer,) = answers(held)
    assert not answer.final
    assert answer.total.tasks == 10
