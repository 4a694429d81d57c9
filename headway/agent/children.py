"""A planner's children, folded from its log: what was asked for, what was told of, what is still out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headway.domain.events import Event
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import ChildKey
from headway.domain.task import TaskKind
from headway.domain.turn import Spawned


@dataclass(frozen=True)
class Asked:
    """A child as it was asked for.

    Attributes:
        at: When, in seconds since the epoch.
        paths: Where its change was expected.
        work: The kind of a task.
    """

    spawned: Spawned
    at: float
    title: str
    paths: tuple[str, ...] = ()
    work: TaskKind = TaskKind.CHANGE


def asked_in(events: Iterable[Event]) -> dict[ChildKey, Asked]:
    """Every child that these events ask for, oldest first."""
    asked: dict[ChildKey, Asked] = {}
    for event in events:
        if event.type != "tool.result" or "spawned" not in event.data:
            continue
        for raw, item in zip(event.data["spawned"], event.data["items"], strict=True):
            spawned = Spawned.model_validate(raw | {"seq": event.seq})
            title = str(item.get("title") or spawned.title)
            paths, work = tuple(item.get("paths", ())), TaskKind(item.get("kind", TaskKind.CHANGE))
            asked.setdefault(spawned.key, Asked(spawned, event.ts, title, paths, work))
    return asked


def told_in(events: Iterable[Event]) -> dict[ChildKey, HandoffNotice]:
    """Every handoff that these events' messages tell of, oldest first."""
    notices = (
        HandoffNotice.model_validate(raw)
        for event in events
        if event.type == "message"
        for raw in event.data.get("inbox", ())
    )
    return {notice.child: notice for notice in notices}


def recovered_in(line: Iterable[Event]) -> dict[ChildKey, Spawned]:
    """Children of abandoned pasts that the turns of this line were told of."""
    found = (
        Spawned.model_validate(raw) for event in line if event.type == "turn.start" for raw in event.data["recovered"]
    )
    return {spawned.key: spawned for spawned in found}


def handed_over_in(line: Iterable[Event]) -> set[ChildKey]:
    """Children of abandoned pasts that the outcomes of this line's turns told the planner's history of."""
    ends = (event.data["outcome"] for event in line if event.type == "turn.end")
    return {ChildKey(raw["key"]) for outcome in ends for raw in outcome.get("recovered", ())}


def to_recover(physical: Sequence[Event], line: Sequence[Event]) -> list[Spawned]:
    """Children that only abandoned suffixes of the log ask for and no turn of the line has handed over yet.

    They are out there, but for those whose handoff was told already: that signal comes again after a reset. Found by
    comparing the whole log with its line, and not by what a fork returns, because a process may die between the fork
    and the turn that takes them over, and because one turn hands over only so many.
    """
    known = asked_in(line).keys() | handed_over_in(line) | told_in(physical).keys()
    return [asked.spawned for key, asked in asked_in(physical).items() if key not in known]


def outstanding(physical: Sequence[Event], line: Sequence[Event]) -> dict[ChildKey, Asked]:
    """Children that have not handed off, as this line of the log knows it, oldest first."""
    everything = asked_in(physical)
    keys = {**asked_in(line), **recovered_in(line)}
    told = told_in(line)
    return {key: everything[key] for key in keys if key not in told and key in everything}
