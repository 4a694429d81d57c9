"""A planner's rounds by its log: far too few tasks, and turns that decide nothing. Pure."""

from collections.abc import Sequence

from headway.agent.children import Asked
from headway.domain.results import Spawn
from headway.domain.task import TaskKind
from headway.domain.turn import ChildKind, Decision
from headway.trace.events.envelope import AnyEvent, bodies
from headway.trace.events.life import TurnEnd
from headway.trace.events.talk import Message, ToolResult

FAR = 2
"""A round of less than the smallest wanted number divided by this is far too small."""

UNDECIDED_TURNS = 3
"""Turns without a decision after which the planner's agent is taken to have given up."""


def far_too_few(asked: Sequence[Asked], fewest: int, room: int) -> bool:
    """True if a first round is far smaller than its range, though there was room for more.

    A round that only looks before it plans, or that hands the work to sub-planners, is as large as it should be.
    """
    if not asked or any(child.spawned.kind is ChildKind.PLANNER for child in asked):
        return False
    if all(child.work is TaskKind.INVESTIGATE for child in asked):
        return False
    return len(asked) * FAR < fewest <= room + len(asked)


def may_be_few(line: Sequence[AnyEvent], fewest: int) -> bool:
    """True if so few tasks were asked for that it is worth a look; cheap on a log of ten thousand tasks."""
    spawns = (answer.result for answer in bodies(line, ToolResult) if isinstance(answer.result, Spawn))
    counts = (len(spawn.spawned) for spawn in spawns)
    return 0 < sum(counts) * FAR < fewest


def was_told_of_few(line: Sequence[AnyEvent]) -> bool:
    """True if the planner was told once; it is not told again."""
    return any(message.few for message in bodies(line, Message))


def undecided_turns(line: Sequence[AnyEvent]) -> int:
    """Turns at the end of a line that used up their calls without a decision, since something was decided or told.

    A `wait` between them decides nothing: a planner that reads and waits in turn gets no further.
    """
    count = 0
    for event in reversed(line):
        if isinstance(event.body, Message) and (event.body.inbox or event.body.steers):
            break
        if not isinstance(event.body, TurnEnd):
            continue
        outcome = event.body.outcome
        if outcome.spawned or outcome.cancelled or outcome.recovered:
            break
        match outcome.decision:
            case Decision.GO_ON:
                count += 1
            case Decision.WAIT:
                continue
            case _:
                break
    return count
