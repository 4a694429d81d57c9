"""A planner's children: requests, news of their ends, and those still outstanding.

`Past` takes every event of the log, `Children` the live line alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import ChildKey
from headway.domain.planner_turn import Spawned
from headway.domain.results import Spawn
from headway.domain.task import TaskKind, TaskSpec
from headway.eventlog.events.conversation import Message, ToolResult
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import TurnEnd, TurnStart


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


class Past:
    """A planner's whole log, pasts included that a fork abandoned.

    Keeps title, paths and place of each request, the keys of children whose handoffs the planner was told, and the
    places where turns ended.

    Attributes:
        asked: Every request, oldest first.
        told: Children whose handoff some message told of.
        ended: Places of the ends of turns, by the turn's key.
    """

    def __init__(self) -> None:
        self.asked: dict[ChildKey, Asked] = {}
        self.told: set[ChildKey] = set()
        self.ended: dict[str, int] = {}

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the log."""
        match event.body:
            case ToolResult(result=Spawn() as spawn):
                for asked in requests_of(spawn, event):
                    self.asked.setdefault(asked.spawned.key, asked)
            case Message(inbox=inbox):
                self.told.update(notice.child for notice in inbox or ())
            case TurnEnd(key=key):
                self.ended.setdefault(key, event.seq)


class Children:
    """A planner's children as the live line of its log knows them.

    Keeps title, paths and place of each request, and notice and concerns of each handoff; no text of either.

    Attributes:
        asked: Requests, oldest first.
        told: Notices of handoffs that messages told of, oldest first.
        concerns: Concerns of those handoffs, point by point.
        recovered: Children of abandoned pasts that turns were told of.
    """

    def __init__(self, past: Past) -> None:
        self.asked: dict[ChildKey, Asked] = {}
        self.told: dict[ChildKey, HandoffNotice] = {}
        self.concerns: dict[ChildKey, tuple[str, ...]] = {}
        self.recovered: dict[ChildKey, Spawned] = {}
        self._past = past
        self._handed_over: set[ChildKey] = set()

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line, after `past` has taken it in."""
        match event.body:
            case ToolResult(result=Spawn() as spawn):
                for asked in requests_of(spawn, event):
                    self.asked.setdefault(asked.spawned.key, asked)
            case Message(inbox=inbox, concerns=concerns):
                self.told |= {notice.child: notice for notice in inbox or ()}
                self.concerns |= concerns
            case TurnStart(recovered=recovered):
                self.recovered |= {child.key: child for child in recovered}
            case TurnEnd(outcome=outcome):
                self._handed_over.update(child.key for child in outcome.recovered)

    @property
    def outstanding(self) -> dict[ChildKey, Asked]:
        """Children that have not handed off, oldest first."""
        everything = self._past.asked
        keys = {**self.asked, **self.recovered}
        return {key: everything[key] for key in keys if key not in self.told and key in everything}

    @property
    def to_recover(self) -> list[Spawned]:
        """Children that only abandoned pasts ask for and no turn of the line has handed over yet.

        They are outstanding, except those whose handoff was told already: that signal comes again after a reset. Found
        by comparing the whole log with its line, and not by the result of a fork, because a process may die between the
        fork and the turn that takes them over, and because one turn hands over only so many.
        """
        known = self.asked.keys() | self._handed_over | self._past.told
        return [asked.spawned for key, asked in self._past.asked.items() if key not in known]


def requests_of(spawn: Spawn, event: AnyEvent) -> Iterator[Asked]:
    """The children that an answer asks for."""
    for child, item in zip(spawn.spawned, spawn.items, strict=True):
        if isinstance(item, TaskSpec):
            yield Asked(child.at(event.seq), event.ts, item.title, item.paths, item.kind)
        else:
            yield Asked(child.at(event.seq), event.ts, child.title)
