"""The answer of a planner's call that asks for children: their ids, and what the planner should know beside them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from headway.agents.loop.conversation import ToolAnswer
from headway.agents.planner.open_task_index import OpenTasks
from headway.agents.planner.path_index import PathIndex
from headway.agents.planner.planner_tools import PlannerTools
from headway.domain.ids import ChildKey, child_key, decision_of
from headway.domain.planner_turn import ChildKind
from headway.domain.results import Spawn, SpawnedChild
from headway.domain.task import Scope, TaskSpec, in_history
from headway.eventlog.views.children import Asked


class _Near:
    """This planner's open tasks by the paths that they name; they grow."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        self._asked: list[Asked] = []
        self._index = PathIndex()
        for each in asked:
            self.add(each)

    def add(self, asked: Asked) -> None:
        self._index.add(len(self._asked), asked.paths)
        self._asked.append(asked)

    def on(self, paths: Iterable[str]) -> list[Asked]:
        return [self._asked[number] for number in self._index.on(paths)]


def spawn(
    desk: PlannerTools, kind: ChildKind, texts: Sequence[TaskSpec | Scope], others: Sequence[Asked]
) -> ToolAnswer:
    """The answer that asks for children.

    Args:
        desk: The planner's turn.
        kind: Their kind.
        texts: A text for each child.
        others: Open children whose paths may overlap with theirs.
    """
    first = len(desk.views.turn.asked)
    before, out = _before(desk), _taken_over(desk)
    near, theirs = _Near(others), desk.elsewhere.now(desk.order.me)
    spawned: list[SpawnedChild] = []
    items: list[TaskSpec | Scope] = []
    told: list[dict[str, Any]] = []
    for text in texts:
        decision = json.dumps(text.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        # By the spawned ones and not by all requests: a place in a turn is one child's, or its handoff is not told
        # from another's.
        item = len(spawned)
        key = child_key(desk.order.turn, first + item, desk.order.context.incarnation, decision)
        title = in_history(text.title)
        same = out.get(decision_of(key), [key])
        if key not in same:
            told.append({"id": same[0], "title": title, "already_out": True})
            continue
        items.append(text)
        # Without `seq`: the text lies where this answer will, which is known once it is written.
        spawned.append(SpawnedChild(key=key, kind=kind, title=title, item=item, priority=text.priority))
        told.append({"id": key, "title": title} | _remarks(text, near, theirs, before))
        if isinstance(text, TaskSpec):
            near.add(Asked(spawned[-1].at(0), 0.0, title, text.paths))
    return ToolAnswer(
        json.dumps({"asked": told}, ensure_ascii=False),
        progress=bool(spawned),
        result=Spawn(spawned=tuple(spawned), items=tuple(items)),
    )


def _taken_over(desk: PlannerTools) -> dict[str, list[ChildKey]]:
    """Requests from a past that a reset took back that are still outstanding, by a hash of the request.

    A planner that makes the same request again, in a turn of another number, gets that child and not a second one.
    """
    children = desk.views.children
    found: dict[str, list[ChildKey]] = {}
    for key in children.outstanding:
        if key in children.recovered:
            found.setdefault(decision_of(key), []).append(key)
    return found


def _remarks(
    text: TaskSpec | Scope, ours: _Near, theirs: OpenTasks, before: dict[str, list[str]]
) -> dict[str, list[str]]:
    if not isinstance(text, TaskSpec):
        return {}
    notes = {
        "asked_before": before.get(_same(text.title), [])[-10:],
        "open_tasks_on_the_same_paths": [f"{o.spawned.key} {o.spawned.title}" for o in ours.on(text.paths)[:10]],
        "open_tasks_of_others_on_the_same_paths": [in_history(task.title) for task in theirs.on(text.paths)],
    }
    return {name: tasks for name, tasks in notes.items() if tasks}


def _before(desk: PlannerTools) -> dict[str, list[str]]:
    """This planner's requests and their ends, by title: a repair of a repair should be seen as one."""
    children = desk.views.children
    found: dict[str, list[str]] = {}
    for key, asked in children.asked.items():
        became = children.told[key].status if key in children.told else "open"
        found.setdefault(_same(asked.title), []).append(f"{key} {became}")
    return found


def _same(title: str) -> str:
    return " ".join(title.casefold().split())
