"""Makes the playbook of a whole run from its shape: the tree, the files of each worker, and the resolving of conflicts.

The scripts of a run of many thousand tasks differ by a few words from task to task. So tasks of one sort share their
calls, and each adds only the words.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headway.rehearsal.asker import ROOT
from headway.rehearsal.blackout import Blackout
from headway.rehearsal.fault import Fault
from headway.rehearsal.playbook import PlannerScript, Playbook, Step, TaskScript, Tokens, ToolUse
from headway.rehearsal.shape import Shape

Ends = Literal["done", "partial", "blocked", "failed"]

NAME = "generated"
TASKS_A_FOLDER = 100
NOT_LANDED = "Not landed"
"""Beginning of every answer to a `land` that did not put the change on the trunk."""

ROUNDS = 5
"""Tries at landing after the first one; the harness gives up before."""

APPEND = "grep -qxF '{{title}}' {{hot}} || echo '{{title}}' >> {{hot}}"
RESOLVE = r"sed -i -e '/^|||||||/,/^=======$/d' -e '/^=======$/d' -e '/^<<<<<<< /d' -e '/^>>>>>>> /d' {{hot}}"
"""Keeps the lines of both sides. Of the base, which stands between the sides, only lines that both share are kept."""


@dataclass(frozen=True, slots=True)
class GeneratedTask:
    """A task as a test of the run may expect it.

    Attributes:
        planner: Scope of its planner; `root` for the root planner.
        files: Paths that only this task writes.
        hot: A file in which the title is a line of its own afterwards, if it lands.
    """

    title: str
    planner: str
    folder: str
    files: tuple[str, ...]
    ends: Ends
    hot: str | None = None


@dataclass(slots=True)
class _Scope:
    title: str
    below: "list[_Scope]"
    tasks: list[GeneratedTask]


def generate(
    shape: Shape,
    *,
    name: str = NAME,
    model: str = "rehearsal",
    faults: tuple[Fault, ...] = (),
    blackout: Blackout | None = None,
) -> Playbook:
    """The playbook of a run of this shape; a run without faults and conflicts uses every call of it."""
    root = _tree(shape)
    scopes = list(_all(root))
    calls = _Calls(shape)
    return Playbook(
        name=name,
        model=model,
        latency_ms=shape.latency_ms,
        seed=shape.seed,
        tokens_out=shape.tokens_out,
        faults=faults,
        blackout=blackout,
        planners=tuple(PlannerScript(scope=scope.title, calls=calls.planner(scope)) for scope in scopes),
        tasks=tuple(
            TaskScript(title=task.title, calls=calls.worker(task), values=_values(task))
            for scope in scopes
            for task in scope.tasks
        ),
    )


def tasks_of(shape: Shape) -> list[GeneratedTask]:
    """Every task of a run of this shape."""
    return [task for scope in _all(_tree(shape)) for task in scope.tasks]


def _values(task: GeneratedTask) -> dict[str, str]:
    values = {"title": task.title, "folder": task.folder}
    return values if task.hot is None else values | {"hot": task.hot}


def _tree(shape: Shape) -> _Scope:
    root = _Scope(ROOT, [], [])
    levels = [[root]]
    for _ in range(shape.levels - 1):
        for above in levels[-1]:
            prefix = "Area " if above is root else f"{above.title}."
            above.below += [_Scope(f"{prefix}{number}", [], []) for number in range(1, shape.subplanners + 1)]
        levels.append([scope for above in levels[-1] for scope in above.below])
    owners = [scope for level in levels for scope in level] if shape.spread == "everywhere" else levels[-1]
    for number, (ends, hot) in enumerate(_fates(shape)):
        owner = owners[number * len(owners) // shape.tasks]
        folder = f"made/{number // TASKS_A_FOLDER:04}/{number % TASKS_A_FOLDER:02}"
        files = tuple(f"{folder}-{index}.txt" for index in range(shape.files))
        owner.tasks.append(GeneratedTask(f"Write part {number:05}", owner.title, folder, files, ends, hot))
    return root


def _all(scope: _Scope) -> Iterator[_Scope]:
    yield scope
    for below in scope.below:
        yield from _all(below)


def _fates(shape: Shape) -> list[tuple[Ends, str | None]]:
    """The end of each task, and its hot file."""
    draw = random.Random(shape.seed)  # noqa: S311
    shares: dict[Ends, float] = {"failed": shape.failed, "blocked": shape.blocked, "partial": shape.partial}
    ends = [end for end, share in shares.items() for _ in range(_count(share, shape.tasks))][: shape.tasks]
    ends += ["done"] * (shape.tasks - len(ends))
    draw.shuffle(ends)
    count = _count(shape.hot, shape.tasks)
    hot: list[str | None] = [f"made/hot-{number % shape.hot_files}.txt" for number in range(count)]
    hot += [None] * (shape.tasks - count)
    draw.shuffle(hot)
    return list(zip(ends, hot, strict=True))


def _count(share: float, tasks: int) -> int:
    return math.ceil(round(share * tasks, 6))


class _Calls:
    """Steps of a shape's agents, each made once."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._workers: dict[tuple[Ends, bool], tuple[Step, ...]] = {}

    def worker(self, task: GeneratedTask) -> tuple[Step, ...]:
        sort = (task.ends, task.hot is not None)
        if sort not in self._workers:
            self._workers[sort] = tuple(self._worker(*sort))
        return self._workers[sort]

    def planner(self, scope: _Scope) -> tuple[Step, ...]:
        children: list[_Scope | GeneratedTask] = [*scope.below, *scope.tasks]
        chunk, room = self._shape.chunk, self._shape.open
        chunk = min(chunk, room)
        parts = [children[at : at + chunk] for at in range(0, len(children), chunk)]
        # Number of children that must have handed off before each part, and before the end.
        due = [max(0, at * chunk + len(part) - room) for at, part in enumerate(parts)] + [len(children)]
        steps = [self._step("I look at the trunk.", ToolUse(name="list_dir", args={"path": "."}))]
        for part, now, later in zip(parts, due, due[1:], strict=False):
            uses = list(_spawns(part))
            uses += [ToolUse(name="wait", args={})] if later > now else []
            steps.append(self._step(f"I ask for {len(part)}.", *uses, after_handoffs=now))
        report = ToolUse(name="finish", args={"status": "done", "summary": f"All {len(children)} have handed off."})
        last = self._step("Everything that I asked for has handed off.", report, after_handoffs=len(children))
        return (*steps, last, self._step("I stay with that.", report))

    def _worker(self, ends: Ends, hot: bool) -> Iterator[Step]:
        shape = self._shape
        for number in range(shape.looks):
            yield self._step(
                "I look.", ToolUse(name="grep", args={"pattern": f"looking for {number} of {{{{title}}}}"})
            )
        if ends == "failed":
            yield self._step("I will not do that.", stop="refusal", repeat=2)
            return
        finish = ToolUse(name="finish", args={"status": ends, "summary": f"{{{{title}}}} is {ends}."})
        if ends == "blocked":
            yield self._step("That cannot be done.", finish)
            return
        yield self._step("I write.", *self._writes(hot=hot))
        for number in range(shape.commands):
            command = f"sleep {shape.command_s:g}; echo command {number} of {{{{title}}}}"
            yield self._step("I check.", ToolUse(name="shell", args={"command": command}))
        land = ToolUse(name="land", args={"message": "{{title}}"})
        yield self._step("It lands.", land)
        if hot:
            resolve = ToolUse(name="shell", args={"command": f"{RESOLVE}; {APPEND}"})
            yield self._step(
                "Others changed the same place; both belong there.",
                resolve,
                land,
                if_last_answer_contains=NOT_LANDED,
                otherwise=self._step("Done.", finish),
                repeat=ROUNDS,
                optional=True,
            )
        yield self._step("Done.", finish, optional=hot)

    def _writes(self, *, hot: bool) -> Iterator[ToolUse]:
        lines = "".join(f"line {number}\n" for number in range(1, self._shape.lines))
        for index in range(self._shape.files):
            yield ToolUse(
                name="write_file", args={"path": f"{{{{folder}}}}-{index}.txt", "content": "{{title}}\n" + lines}
            )
        if hot:
            yield ToolUse(name="shell", args={"command": f"mkdir -p made; {APPEND}"})

    def _step(self, text: str, *tools: ToolUse, **more: Any) -> Step:
        return Step(text=text, tools=tools, tokens=Tokens(input=self._shape.tokens_in), **more)


def _spawns(children: Sequence[_Scope | GeneratedTask]) -> Iterator[ToolUse]:
    for child in children:
        if isinstance(child, _Scope):
            intent = f"Everything that belongs to {child.title}."
            yield ToolUse(name="spawn_subplanner", args={"scope": child.title, "intent": intent})
    tasks = [child for child in children if isinstance(child, GeneratedTask)]
    if tasks:
        yield ToolUse(name="spawn_tasks", args={"tasks": [_asked(task) for task in tasks]})


def _asked(task: GeneratedTask) -> dict[str, Any]:
    paths = [*task.files, *([task.hot] if task.hot else [])]
    return {"title": task.title, "intent": f"Write {', '.join(paths)}.", "paths": paths}
