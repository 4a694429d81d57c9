"""A planner's children, folded from its log: requests, news of their ends, and those still outstanding."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import ChildKey
from headway.domain.results import Cancelled, Spawn
from headway.domain.task import TaskKind, TaskSpec
from headway.domain.turn import Spawned
from headway.trace.events.envelope import AnyEvent, bodies, only
from headway.trace.events.life import TurnEnd, TurnStart
from headway.trace.events.talk import Message, ToolResult


@dataclass(frozen=True)
class Asked:
    """A child as it was asked for.

    Attributes:
        at: Time of the request, in seconds since the epoch.
        paths: Paths of the expected change.
        work: The kind of a task.
    """

    spawned: Spawned
    at: float
    title: str
    paths: tuple[str, ...] = ()
    work: TaskKind = TaskKind.CHANGE


def asked_in(events: Iterable[AnyEvent]) -> dict[ChildKey, Asked]:
    """Every child that these events ask for, oldest first."""
    asked: dict[ChildKey, Asked] = {}
    for event in only(events, ToolResult):
        if not isinstance(event.body.result, Spawn):
            continue
        for child, item in zip(event.body.result.spawned, event.body.result.items, strict=True):
            if isinstance(item, TaskSpec):
                one = Asked(child.at(event.seq), event.ts, item.title, item.paths, item.kind)
            else:
                one = Asked(child.at(event.seq), event.ts, child.title)
            asked.setdefault(child.key, one)
    return asked


def cancelled_in(events: Iterable[AnyEvent]) -> Iterator[ChildKey]:
    """Every child that these events take back, oldest first."""
    for answer in bodies(events, ToolResult):
        if isinstance(answer.result, Cancelled):
            yield from answer.result.cancelled


def told_in(events: Iterable[AnyEvent]) -> dict[ChildKey, HandoffNotice]:
    """Every handoff that these events' messages tell of, oldest first."""
    return {notice.child: notice for message in bodies(events, Message) for notice in message.inbox or ()}


def recovered_in(line: Iterable[AnyEvent]) -> dict[ChildKey, Spawned]:
    """Children of abandoned pasts that the turns of this line were told of."""
    return {child.key: child for start in bodies(line, TurnStart) for child in start.recovered}


def handed_over_in(line: Iterable[AnyEvent]) -> set[ChildKey]:
    """Children of abandoned pasts that the outcomes of this line's turns told the planner's history of."""
    return {child.key for end in bodies(line, TurnEnd) for child in end.outcome.recovered}


def to_recover(physical: Sequence[AnyEvent], line: Sequence[AnyEvent]) -> list[Spawned]:
    """Children that only abandoned suffixes of the log ask for and no turn of the line has handed over yet.

    They are outstanding, except those whose handoff was told already: that signal comes again after a reset. Found by
    comparing the whole log with its line, and not by the result of a fork, because a process may die between the fork
    and the turn that takes them over, and because one turn hands over only so many.
    """
    known = asked_in(line).keys() | handed_over_in(line) | told_in(physical).keys()
    return [asked.spawned for key, asked in asked_in(physical).items() if key not in known]


def outstanding(physical: Sequence[AnyEvent], line: Sequence[AnyEvent]) -> dict[ChildKey, Asked]:
    """Children that have not handed off, as this line of the log knows it, oldest first."""
    everything = asked_in(physical)
    keys = {**asked_in(line), **recovered_in(line)}
    told = told_in(line)
    return {key: everything[key] for key in keys if key not in told and key in everything}
