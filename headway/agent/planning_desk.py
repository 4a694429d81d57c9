"""Carries out a planner's tool calls: reads at the turn's pinned commit, and takes decisions down."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.agent.breakage import answer_to, broken_before
from headway.agent.children import Asked, asked_in, cancelled_in, outstanding, recovered_in, told_in
from headway.agent.conversation import Answer, Conversation
from headway.agent.elsewhere import Elsewhere, OpenTasks
from headway.agent.excerpt import EXCERPT_CHARS, cut, excerpt
from headway.agent.handoff_text import whole
from headway.agent.path_index import PathIndex
from headway.agent.prompts import Prompts
from headway.agent.scratchpad import rewrite
from headway.agent.search import HITS, hits_text
from headway.agent.tools import planning as tools
from headway.agent.tools.schema import Arguments, arguments_of
from headway.domain.errors import ToolError
from headway.domain.ids import ChildKey, Oid, child_key, decision_of
from headway.domain.results import Cancelled, Finished, Spawn, SpawnedChild, Waits
from headway.domain.task import Scope, TaskSpec, in_history
from headway.domain.turn import CANCELS_PER_TURN, SPAWNS_PER_TURN, ChildKind, PlanTurn
from headway.git.hub import Hub
from headway.model.turn import ToolCall
from headway.trace.events.envelope import AnyEvent
from headway.trace.events.life import HandedOff
from headway.trace.store import LogStore


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


@dataclass
class PlanningDesk:
    """The tools of one turn.

    Attributes:
        physical: The planner's whole log as it was when the turn began or was resumed.
        started: Sequence number of the turn's start.
        elsewhere: The open tasks of other planners.
    """

    order: PlanTurn
    store: LogStore
    hub: Hub
    prompts: Prompts
    talk: Conversation
    pinned: Oid
    physical: Sequence[AnyEvent] = field(repr=False)
    started: int
    elsewhere: Elsewhere

    def answer(self, call: ToolCall) -> Answer:
        """The answer to a call. A decision counts by its answer alone, so that it may be worked out again."""
        before = broken_before(self.talk, call, self.prompts)
        if before is not None:
            return before
        try:
            return self._run(arguments_of(tools.PLANNER_TOOLS, call.name, call.arguments))
        except Exception as error:  # noqa: BLE001 - what is no fault of the call is raised again there
            return answer_to(error, self.prompts)

    @property
    def turn_events(self) -> list[AnyEvent]:
        """The live line since the turn's start."""
        return [event for event in self.talk.log.line if event.seq >= self.started]

    def outstanding(self) -> dict[ChildKey, Asked]:
        """The children that are still out."""
        line = self.talk.log.line
        return outstanding([*self.physical, *self.turn_events], line)

    def _run(self, arguments: Arguments) -> Answer:
        match arguments:
            case tools.SpawnTasks():
                return self._spawn_tasks(arguments.tasks)
            case tools.SpawnSubplanner():
                return self._spawn_subplanner(Scope(**arguments.model_dump()))
            case tools.Cancel():
                return self._cancel(arguments)
            case tools.RewriteScratchpad():
                return rewrite(self.talk, self.prompts, arguments.content)
            case tools.Wait():
                return Answer(self.prompts.render("answers/wait"), compared=None, result=Waits())
            case tools.Finish():
                result = Finished(decision="finish", report=arguments.handed())
                return Answer(self.prompts.render("answers/finish"), compared=None, result=result)
            case tools.ReadHandoff():
                return Answer(self._handoff(arguments.id))
            case _:
                return Answer(cut(self._read(arguments), EXCERPT_CHARS))

    def _read(self, arguments: Arguments) -> str:
        at = self.pinned
        match arguments:
            case tools.ListDir(path=path, depth=depth):
                return self.hub.list_dir(at, path, depth)
            case tools.ReadFile(path=path, start=start, limit=limit):
                return excerpt(self.hub.read_file(at, path), path, start, limit)
            case tools.Grep(pattern=pattern, path=path, glob=glob):
                return hits_text(self.hub.grep(at, pattern, path, glob, HITS + 1))
            case tools.GitLog(path=path, limit=limit):
                return self.hub.log(at, path, limit)
            case tools.GitShow(rev=rev, path=path):
                return self.hub.show(rev, path)
            case _:
                raise TypeError(f"{type(arguments).__name__} is no tool of a planner")

    def _handoff(self, key: ChildKey) -> str:
        notice = told_in(self.talk.log.line).get(key)
        if notice is None:
            raise ToolError(f"no handoff of {key} came in; read_handoff takes the id in the heading of a handoff")
        return cut(whole(self.store.said(notice.ref(self.order.me), HandedOff).handoff), EXCERPT_CHARS)

    def _spawn_tasks(self, tasks: tuple[TaskSpec, ...]) -> Answer:
        asked = asked_in(self.turn_events)
        room = min(self.order.spawnable - self._tasks_asked(asked), SPAWNS_PER_TURN - len(asked))
        if len(tasks) > room:
            name = "answers/no_room" if room > 0 else "answers/no_room_at_all"
            values = {"asked": len(tasks), "room": room} if room > 0 else {}
            raise ToolError(self.prompts.render(name, **values))
        return self._spawn(ChildKind.TASK, list(tasks), list(self.outstanding().values()))

    def _spawn_subplanner(self, scope: Scope) -> Answer:
        if not self.order.may_delegate:
            raise ToolError(self.prompts.render("answers/no_subplanner"))
        if len(asked_in(self.turn_events)) >= SPAWNS_PER_TURN:
            raise ToolError(self.prompts.render("answers/no_room_at_all"))
        return self._spawn(ChildKind.PLANNER, [scope], [])

    def _spawn(self, kind: ChildKind, texts: Sequence[TaskSpec | Scope], others: list[Asked]) -> Answer:
        first = len(asked_in(self.turn_events))
        before, out = self._before(), self._taken_over()
        near, theirs = _Near(others), self.elsewhere.now(self.order.me)
        spawned: list[SpawnedChild] = []
        items: list[TaskSpec | Scope] = []
        said: list[dict[str, Any]] = []
        for text in texts:
            decision = json.dumps(text.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
            # By the spawned ones and not by all requests: a place in a turn is one child's, or its handoff is not told
            # from another's.
            item = len(spawned)
            key = child_key(self.order.turn, first + item, self.order.context.incarnation, decision)
            title = in_history(text.title)
            same = out.get(decision_of(key), [key])
            if key not in same:
                said.append({"id": same[0], "title": title, "already_out": True})
                continue
            items.append(text)
            # Without `seq`: the text lies where this answer will, which is known once it is written.
            spawned.append(SpawnedChild(key=key, kind=kind, title=title, item=item, priority=text.priority))
            said.append({"id": key, "title": title} | self._remarks(text, near, theirs, before))
            if isinstance(text, TaskSpec):
                near.add(Asked(spawned[-1].at(0), 0.0, title, text.paths))
        return Answer(
            json.dumps({"asked": said}, ensure_ascii=False),
            progress=bool(spawned),
            result=Spawn(spawned=tuple(spawned), items=tuple(items)),
        )

    def _taken_over(self) -> dict[str, list[ChildKey]]:
        """Requests from a past that a reset took back that are still outstanding, by a hash of the request.

        A planner that makes the same request again, in a turn of another number, gets that child and not a second one.
        """
        recovered = recovered_in(self.talk.log.line)
        found: dict[str, list[ChildKey]] = {}
        for key in self.outstanding():
            if key in recovered:
                found.setdefault(decision_of(key), []).append(key)
        return found

    def _remarks(
        self, text: TaskSpec | Scope, ours: _Near, theirs: OpenTasks, before: dict[str, list[str]]
    ) -> dict[str, list[str]]:
        if not isinstance(text, TaskSpec):
            return {}
        notes = {
            "asked_before": before.get(_same(text.title), [])[-10:],
            "open_tasks_on_the_same_paths": [f"{o.spawned.key} {o.spawned.title}" for o in ours.on(text.paths)[:10]],
            "open_tasks_of_others_on_the_same_paths": [in_history(task.title) for task in theirs.on(text.paths)],
        }
        return {name: tasks for name, tasks in notes.items() if tasks}

    def _before(self) -> dict[str, list[str]]:
        """This planner's requests and their ends, by title: a repair of a repair should be seen as one."""
        told = told_in(self.talk.log.line)
        found: dict[str, list[str]] = {}
        for key, asked in asked_in(self.talk.log.line).items():
            became = told[key].status if key in told else "open"
            found.setdefault(_same(asked.title), []).append(f"{key} {became}")
        return found

    def _tasks_asked(self, asked: dict[ChildKey, Asked]) -> int:
        return sum(1 for child in asked.values() if child.spawned.kind is ChildKind.TASK)

    def _cancel(self, arguments: tools.Cancel) -> Answer:
        out = self.outstanding()
        strangers = [key for key in arguments.ids if key not in out]
        if strangers:
            raise ToolError(f"not outstanding: {', '.join(strangers[:20])}. Outstanding: {', '.join(list(out)[:100])}")
        earlier = set(cancelled_in(self.turn_events))
        if len(earlier.union(arguments.ids)) > CANCELS_PER_TURN:
            raise ToolError(f"a turn cancels at most {CANCELS_PER_TURN}: cancel the rest in the next one")
        result = Cancelled(cancelled=tuple(arguments.ids), reason=arguments.reason)
        return Answer(json.dumps({"cancelled": list(arguments.ids)}), progress=True, result=result)


def _same(title: str) -> str:
    return " ".join(title.casefold().split())
