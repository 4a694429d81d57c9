"""A planner's rounds: far too few tasks, and turns that decide nothing. Pure."""

from collections.abc import Collection

from headway.domain.planner_turn import ChildKind
from headway.domain.task import TaskKind
from headway.eventlog.views.children import Asked

FAR = 2
"""A round of less than the smallest wanted number divided by this is far too small."""

UNDECIDED_TURNS = 3
"""Turns without a decision after which the planner's agent is taken to have given up."""


def far_too_few(asked: Collection[Asked], fewest: int, room: int) -> bool:
    """True if a first round is far smaller than its range, though there was room for more.

    A round that only looks before it plans, or that hands the work to sub-planners, is as large as it should be.
    """
    if not 0 < len(asked) * FAR < fewest <= room + len(asked):  # first, because it is cheap with ten thousand tasks
        return False
    if any(child.spawned.kind is ChildKind.PLANNER for child in asked):
        return False
    return any(child.work is not TaskKind.INVESTIGATE for child in asked)
