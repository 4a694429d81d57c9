"""The open tasks of other planners, for notes on overlaps: each planner leaves a small file next to the logs.

The files are made from the planners' logs and tell nothing new: one that is missing, half written or out of date costs
a note, and nothing is decided by it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from headway.agents.planner.path_index import PathIndex
from headway.domain.ids import AgentId, ChildKey, RunName, child_id
from headway.domain.planner_turn import ChildKind
from headway.eventlog.events.life import HandedOff
from headway.eventlog.store import LogStore
from headway.eventlog.views.children import Asked

NAMED = 10
MOST_TASKS = 20_000
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class OpenTask:
    """A task that another planner asked for."""

    agent: AgentId
    title: str
    paths: tuple[str, ...]


class OpenTasks:
    """Open tasks of other planners, by the paths that they name.

    Args:
        has_ended: Tells if a task has handed off since its planner wrote it down.
    """

    def __init__(self, tasks: Sequence[OpenTask], has_ended: Callable[[AgentId], bool]) -> None:
        self._tasks = tasks
        self._has_ended = has_ended
        self._index = PathIndex()
        for number, task in enumerate(tasks):
            self._index.add(number, task.paths)

    def on(self, paths: Iterable[str]) -> list[OpenTask]:
        """The first of the tasks on these paths that have not handed off."""
        near = (self._tasks[number] for number in self._index.on(paths))
        return list(islice((task for task in near if not self._has_ended(task.agent)), NAMED))


class OpenTaskIndex:
    """Requests of a run's planners that are still outstanding, by the paths they named."""

    def __init__(self, store: LogStore, run: RunName) -> None:
        self._store = store
        self._run = run

    def tell(self, planner: AgentId, asked: Iterable[Asked]) -> None:
        """Write down a planner's open tasks."""
        tasks = [
            [child.spawned.key, child.title, list(child.paths)]
            for child in asked
            if child.spawned.kind is ChildKind.TASK and child.paths
        ]
        self._store.leave(planner, json.dumps(tasks).encode() if tasks else None)

    def now(self, me: AgentId) -> "OpenTasks":
        """The open tasks of other planners at this moment."""
        return OpenTasks(list(islice(self._of_others(me), MOST_TASKS)), self._has_ended)

    def _of_others(self, me: AgentId) -> Iterable[OpenTask]:
        for planner, note in self._store.left(self._run, MOST_BYTES):
            if planner != me:
                yield from _read(note, planner)

    def _has_ended(self, agent: AgentId) -> bool:
        """True when its log ends with a handoff. A next attempt writes behind the handoff of one that failed."""
        last = self._store.last(agent)
        return last is not None and isinstance(last.body, HandedOff)


def _read(note: bytes, planner: AgentId) -> list[OpenTask]:
    try:
        return [OpenTask(child_id(planner, ChildKey(key)), title, tuple(at)) for key, title, at in json.loads(note)]
    except (ValueError, TypeError):
        return []
