"""Every habit, by name."""

from tests.peers import addresses, replying, texts
from tests.peers.habit import Form, Habit

HABITS: tuple[Habit, ...] = (*addresses.HABITS, *replying.HABITS, *replying.REFUSING, *texts.HABITS)

CASES: tuple[tuple[Habit, Form], ...] = tuple((habit, form) for habit in HABITS for form in habit.forms)
"""Each habit in each form in which it can be met."""

assert len({habit.name for habit in HABITS}) == len(HABITS), "a name stands twice"
