"""What a planner's log says of its rounds: far too few tasks, and turns that decide nothing. Pure."""

from collections.abc import Sequence

from headway.agent.children import Asked
from headway.domain.events import Event
from headway.domain.task import TaskKind
from headway.domain.turn import ChildKind, Decision

FAR = 2
"""A round of less than the smallest wanted number divided by this is far too small."""

UNDECIDED_TURNS = 3
"""Turns without a decision after which the planner's agent is taken to have given up."""

FEW = "few"
"""Marks the message that told of a round that was far too small."""


def far_too_few(asked: Sequence[Asked], fewest: int, room: int) -> bool:
    """Whether a first round is far smaller than its range, though there was room for more.

    A round that only looks before it plans, or that hands the work to sub-planners, is as large as it should be.
    """
    if not asked or any(child.spawned.kind is ChildKind.PLANNER for child in asked):
        return False
    if all(child.work is TaskKind.INVESTIGATE for child in asked):
        return False
    return len(asked) * FAR < fewest <= room + len(asked)


def may_be_few(line: Sequence[Event], fewest: int) -> bool:
    """Whether so little was asked for that it is worth a look; cheap on a log of ten thousand tasks."""
    counts = (len(event.data["spawned"]) for event in line if event.type == "tool.result" and "spawned" in event.data)
    return 0 < sum(counts) * FAR < fewest


def was_told_of_few(line: Sequence[Event]) -> bool:
    """Whether the planner was told once; it is not told again."""
    return any(event.type == "message" and event.data.get(FEW) for event in line)


def undecided_turns(line: Sequence[Event]) -> int:
    """Turns at the end of a line that used up their calls without a decision, since something was decided or told.

    A `wait` between them decides nothing: who reads and waits in turn gets no further either.
    """
    count = 0
    for event in reversed(line):
        if event.type == "message" and (event.data.get("inbox") or event.data.get("steers")):
            break
        if event.type != "turn.end":
            continue
        outcome = event.data["outcome"]
        if any(outcome.get(name) for name in ("spawned", "cancelled", "recovered")):
            break
        match outcome["decision"]:
            case Decision.GO_ON:
                count += 1
            case Decision.WAIT:
                continue
            case _:
                break
    return count
