"""The house rules that a machine can check: who may import whom, what pure code may not touch, how long things get.

The rules are functions from a source, or from all sources, to findings. So each is also tried on made-up sources that
break it.
"""

import ast
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent

FILE_LINES = 300
FUNCTION_LINES = 40
MOST_TOO_LONG = 10
TOO_LONG: dict[str, str] = {
    "headway/agents/loop/conversation.py": "one epoch and its paid calls: budget, request and log change together",
    "headway/agents/planner/planner.py": "one turn from its opening to its end, each step resumable where it stands",
    "headway/eventlog/local_log.py": "the lease, the append and the fork of one file, whose order of syncs is one rule",
    "headway/runs/lifecycle.py": "a run's beginning and end: every step may be asked for twice",
    "headway/runs/lifecycle.py:_prepared": "the checks before a run, in the order in which a user should hear of them",
    "headway/runs/lifecycle.py:_report": "one value with many fields",
}
"""`path` or `path:function` that may be longer, each with the reason."""

GROUND = ("headway.domain", "headway.system")
ADAPTERS = ("headway.models", "headway.git", "headway.sandbox", "headway.eventlog")

ROOMS: dict[str, tuple[str, ...]] = {
    "headway.domain": (),
    "headway.system": ("headway.domain",),
    "headway.models": (*GROUND,),
    "headway.git": (*GROUND,),
    "headway.sandbox": (*GROUND,),
    "headway.eventlog": (*GROUND,),
    "headway.editing": (*GROUND, *ADAPTERS),
    "headway.policy": (*GROUND, *ADAPTERS, "headway.editing", "prompts"),
    "headway.runs": (*GROUND, *ADAPTERS, "headway.editing", "headway.policy", "prompts"),
    "headway.agents": (*GROUND, *ADAPTERS, "headway.editing", "headway.policy", "headway.runs", "prompts"),
    "headway.rehearsal": (*GROUND,),
    "headway.host": (*GROUND,),
    "headway.cli": (*GROUND, *ADAPTERS, "headway.policy", "headway.runs", "headway.host", "headway.rehearsal"),
    "headway": (),
    "prompts": ("headway.domain",),
    "activities": (*GROUND,),
    "workflows": ("headway.domain", "activities"),
    "worker": (
        *GROUND,
        *ADAPTERS,
        "headway.editing",
        "headway.policy",
        "headway.runs",
        "headway.agents",
        "headway.host",
        "prompts",
        "activities",
        "workflows",
    ),
}
"""What each room may import of ours, beside itself and the bare `headway`, which holds the version only."""

DOORS = {
    ("headway/cli/worker.py", "worker"): "the command that starts the worker processes",
    ("headway/cli/agent_tools.py", "headway.agents"): "the declarations of tools, for commands that show calls",
    ("headway/cli/replay.py", "workflows"): "the command that runs workflows over their histories",
}
"""An import that only one file may make, with the reason."""

BELONGS_TO: dict[str, tuple[str, ...]] = {
    "temporalio": ("headway.cli", "headway.host", "headway.runs", "activities", "workflows", "worker"),
    "openai": ("headway.models",),
    "git": ("headway.git",),
    "starlette": ("headway.rehearsal",),
    "uvicorn": ("headway.rehearsal",),
    "typer": ("headway.cli",),
    "rich": ("headway.cli",),
}
"""Libraries that stay behind one seam."""

# fmt: off
EFFECTS = frozenset({
    "os", "io", "sys", "time", "random", "secrets", "uuid", "pathlib", "shutil", "glob", "tempfile",
    "subprocess", "signal", "socket", "ssl", "select", "http", "urllib", "threading", "multiprocessing",
    "concurrent", "queue", "sqlite3", "logging", "ctypes", "fcntl", "psutil",
})
# fmt: on
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "hash", "id", "__import__"})
"""`hash` and `id` too: both differ from process to process."""

CLOCKS = frozenset(
    {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"}
)

# fmt: off
LOOP_THAT_REPLAYS = frozenset({
    "sleep", "wait_for", "gather", "shield", "ensure_future", "create_task", "timeout", "Event", "Lock",
    "Semaphore", "Queue", "Task", "Future", "CancelledError", "TimeoutError",
})
"""What workflows may use of asyncio; `wait` and `as_completed` hand out sets, whose order no replay repeats."""
# fmt: on

SETS = frozenset({"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"})


@dataclass(frozen=True)
class Source:
    """A file of ours, or a made-up one."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        return room_of(self.module)


@cache
def sources() -> tuple[Source, ...]:
    """Everything that ships, each file read and parsed once. The sample repository of the demo is data."""
    paths = [HOME / "worker.py"]
    for folder in ("headway", "workflows", "activities", "prompts"):
        paths += (HOME / folder).rglob("*.py")
    names = sorted(path.relative_to(HOME).as_posix() for path in paths)
    return tuple(Source(name, (HOME / name).read_text()) for name in names if "/sample/" not in name)


def room_of(module: str) -> str:
    """The room that a module of ours lies in, or the top name of another."""
    parts = module.split(".")
    pair = ".".join(parts[:2])
    return pair if pair in ROOMS else parts[0]


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Every module that a source imports, by line, wherever in the file it does."""
    package = source.module if source.path.endswith("/__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom(level=level, module=module):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name


def imported(found: Collection[Source]) -> dict[str, set[str]]:
    """The modules among `found` that each of them imports, also inside functions and for types only."""
    known = {source.module for source in found}

    def module_of(name: str) -> str:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name

    return {source.module: {module_of(name) for _, name in imports(source)} - {"", source.module} for source in found}


def subfolders_imported(modules: Mapping[str, set[str]], folder: str) -> dict[str, set[str]]:
    """The subfolders of a folder that each of them imports, also by way of files that lie beside them."""
    beside: dict[str, set[str]] = {}
    subfolders = {entry_of(module, folder) for module in modules if module.removeprefix(f"{folder}.").count(".")}
    for module, others in modules.items():
        here = entry_of(module, folder)
        beside.setdefault(here, set()).update(entry_of(other, folder) for other in others)
    found: dict[str, set[str]] = {}
    for subfolder in subfolders - {""}:
        seen, left = {""}, list(beside[subfolder])
        while left:
            entry = left.pop()
            if entry not in seen:
                seen.add(entry)
                left += [] if entry in subfolders else beside.get(entry, ())
        found[subfolder] = seen & subfolders - {"", subfolder}
    return found


def entry_of(module: str, folder: str) -> str:
    """The file or subfolder of a folder in which a module lies; empty for a module elsewhere."""
    return module.removeprefix(f"{folder}.").partition(".")[0] if module.startswith(f"{folder}.") else ""


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle of imports, as `a -> b -> a`; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def circles_of_folders(found: Collection[Source]) -> dict[str, list[str]]:
    """By folder of a room, a circle of its subfolders; only folders that have one."""
    modules = imported(found)
    above = {".".join(parts[:count]) for parts in (name.split(".") for name in modules) for count in range(len(parts))}
    circles = {folder: circle_in(subfolders_imported(modules, folder)) for folder in above - {"", "headway"}}
    return {folder: circle for folder, circle in sorted(circles.items()) if circle}


def names_of_modules(source: Source) -> dict[str, str]:
    """What each imported name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(source.tree):
        match node:
            case ast.Import():
                found |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                          for a in node.names}  # fmt: skip
            case ast.ImportFrom(module=str(module)):
                found |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
    return found


def uses(source: Source) -> Iterator[tuple[int, str]]:
    """Every dotted name that a source uses, with imported names spelled out."""
    known = names_of_modules(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            yield node.lineno, known.get(first, first) + dot + rest


def wrong_imports(source: Source) -> list[str]:
    """Imports that point the wrong way."""
    found = []
    for line, module in imports(source):
        room, top = room_of(module), module.partition(".")[0]
        ours = room in ROOMS and room not in {"headway", source.room, *ROOMS[source.room]}
        if ours and (source.path, room) not in DOORS:
            found.append(f"{source.path}:{line}: {source.room} imports {room}")
        if top in BELONGS_TO and source.room not in BELONGS_TO[top]:
            found.append(f"{source.path}:{line}: {source.room} imports {top}")
    return found


def impurities(source: Source) -> list[str]:
    """I/O, clocks and randomness in the rooms that must give the same answer at every replay."""
    if source.room not in {"headway.domain", "workflows"}:
        return []
    banned = EFFECTS | {"asyncio"} if source.room == "headway.domain" else EFFECTS
    found = [(line, module) for line, module in imports(source) if module.partition(".")[0] in banned]
    for line, name in uses(source):
        top, _, rest = name.partition(".")
        loop = top == "asyncio" and rest and rest.partition(".")[0] not in LOOP_THAT_REPLAYS
        if loop or name in CLOCKS or name.startswith("temporalio.workflow.unsafe"):
            found.append((line, name))
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    found += [(c.lineno, c.func.id) for c in calls if isinstance(c.func, ast.Name) and c.func.id in IMPURE_BUILTINS]
    return [f"{source.path}:{line}: {name} in {source.room}" for line, name in sorted(set(found))]


def sets_in_state(source: Source) -> list[str]:
    """Sets where a workflow could iterate over one: in the fields of a model, and anywhere in a workflow's own code."""
    if source.room not in {"headway.domain", "workflows"}:
        return []
    looked_up = {id(right) for node in ast.walk(source.tree) if isinstance(node, ast.Compare)
                 for operator, right in zip(node.ops, node.comparators, strict=True)
                 if isinstance(operator, ast.In | ast.NotIn)}  # fmt: skip
    found: list[int] = []
    for node in ast.walk(source.tree):
        match node:
            case ast.ClassDef(body=body):
                fields = [part.annotation for part in body if isinstance(part, ast.AnnAssign)]
                found += [part.lineno for part in fields if any(_names_a_set(name) for name in ast.walk(part))]
            case ast.Set() | ast.SetComp() if source.room == "workflows" and id(node) not in looked_up:
                found.append(node.lineno)
            case ast.Name() | ast.Attribute() if source.room == "workflows" and _names_a_set(node):
                found.append(node.lineno)
    return [f"{source.path}:{line}: a set" for line in sorted(set(found))]


def _names_a_set(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SETS
        case ast.Constant(value=str(text)):
            return any(f"{name}[" in text for name in SETS)
    return False


def too_long(source: Source) -> dict[str, int]:
    """Lines of a file and of functions that are over the limits, by `path` or `path:function`."""
    found = {}
    count = source.text.count("\n")
    if count > FILE_LINES:
        found[source.path] = count
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            size = node.end_lineno - node.lineno + 1
            if size > FUNCTION_LINES:
                found[f"{source.path}:{node.name}"] = size
    return found


def lengths(source: Source) -> list[str]:
    """Files and functions that are too long to be read in one go."""
    return [f"{place}: {size} lines" for place, size in too_long(source).items() if place not in TOO_LONG]


def processes_by_the_clock(source: Source) -> list[str]:
    """Identities of processes that a step of the clock, or the next process of the same id, changes."""
    if source.path == "headway/system/process.py":
        return []
    found = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(attr="create_time" | "pid_exists" as name):
                found.add((node.lineno, name))
            case ast.Constant(value="create_time"):
                found.add((node.lineno, "create_time"))
    return [f"{source.path}:{line}: {name}" for line, name in sorted(found)]


def printing(source: Source) -> list[str]:
    """Ways to the terminal beside `headway/cli/console.py`, which lets no escape sequence of a model through."""
    if source.room != "headway.cli" or source.path == "headway/cli/console.py":
        return []
    found = [(line, name) for line, name in uses(source) if name in {"typer.echo", "typer.secho"}]
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    names = [(call.lineno, call.func.id) for call in calls if isinstance(call.func, ast.Name)]
    found += [(line, name) for line, name in names if name in {"print", "Console"}]
    return [f"{source.path}:{line}: {name}" for line, name in sorted(set(found))]


WALL_CLOCK = {
    "activities/outage_reporter.py": "times for people, that the gates tell",
    "headway/runs/check.py": "the date of a verdict",
    "headway/host/connection.py": "a poller of another machine, of which only its service's clock tells",
    "headway/cli/limits.py": "whether a deadline that a person gives is over",
    "headway/cli/rm.py": "which executions began before the command, by the service's clock",
    "headway/cli/run.py": "a name for people",
    "headway/cli/status.py": "a duration for people",
    "headway/git/workspace/build_base_layer.py": "dates of files, as git compares them with its index",
    "headway/git/workspace/checkout.py": "the same",
    "headway/git/landing/commit_text.py": "the date of a commit",
    "headway/git/ledger.py": "when upkeep was last done, which outlives a boot",
    "headway/git/maintenance.py": "the same; and ages of files that are left over",
    "headway/models/breaker_store.py": "what is forgotten after a week, which outlives a boot",
    "headway/models/prices.py": "prices of today",
    "headway/models/retry_after.py": "a date that a server names",
    "headway/models/spending_ledger.py": "how long the machine was off",
    "headway/sandbox/caches.py": "the age of a file",
    "headway/sandbox/process/watchdog.py": "dates of files",
    "headway/system/steady.py": "times for people",
    "headway/eventlog/local_log.py": "the date of an event",
    "headway/eventlog/views/figures.py": "when logs were read, for people who compare it with the times of events",
}
"""Files that may read the wall clock, each with the reason. No wait and no identity of a process is among them."""


WALL_CLOCKS = frozenset({"time.time", "time.time_ns", *CLOCKS})


def wall_clocks(source: Source) -> list[str]:
    """The wall clock where nothing needs it: a step of it is to change no wait."""
    if source.path in WALL_CLOCK or source.room in {"headway.domain", "workflows"}:
        return []
    return [f"{source.path}:{line}: {name}" for line, name in uses(source) if name in WALL_CLOCKS]


def passthrough(source: Source) -> list[tuple[object, ...]]:
    """What each workflow sandbox of a source lets through."""
    return [
        tuple(part.value if isinstance(part, ast.Constant) else ast.unparse(part) for part in node.args)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "with_passthrough_modules"
    ]


Rule = Callable[[Source], list[str]]
RULES: tuple[Rule, ...] = (
    wrong_imports,
    impurities,
    sets_in_state,
    lengths,
    processes_by_the_clock,
    wall_clocks,
    printing,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule) -> None:
    assert [finding for source in sources() for finding in rule(source)] == []


@pytest.mark.parametrize(
    "text", ["psutil.Process(1).create_time()", "psutil.process_iter(['create_time'])", "psutil.pid_exists(1)"]
)
def test_a_process_known_by_the_clock_is_found(text: str) -> None:
    assert processes_by_the_clock(Source("headway/git/x.py", f"import psutil\n{text}\n")) != []


@pytest.mark.parametrize(
    "text", ["print('x')", "import typer\ntyper.echo('x')", "from rich.console import Console\nConsole()"]
)
def test_another_way_to_the_terminal_is_found(text: str) -> None:
    assert printing(Source("headway/cli/status.py", text))


@pytest.mark.parametrize("text", ["import time\ntime.time()", "from datetime import datetime\ndatetime.now()"])
def test_the_wall_clock_is_found(text: str) -> None:
    assert wall_clocks(Source("headway/agents/x.py", f"{text}\n")) != []


def test_no_file_imports_itself_in_a_circle() -> None:
    assert circle_in(imported(sources())) == []


def test_no_two_subfolders_of_a_room_import_each_other() -> None:
    assert circles_of_folders(sources()) == {}


@pytest.mark.parametrize(
    "back",
    ["from headway.git.a import f", "def g():\n    import headway.git.a", "if TYPE_CHECKING:\n    from . import a"],
)
def test_a_circle_of_files_is_found(back: str) -> None:
    there = [
        Source("headway/git/a.py", "from headway.git.b import x"),
        Source("headway/git/b.py", "import headway.git.c"),
    ]
    assert circle_in(imported([*there, Source("headway/git/c.py", "")])) == []
    (circle,) = circle_in(imported([*there, Source("headway/git/c.py", back)]))
    assert set(circle.split(" -> ")) == {"headway.git.a", "headway.git.b", "headway.git.c"}


@pytest.mark.parametrize("through", ["headway.git.y.b", "headway.git.hub"])
def test_a_circle_of_folders_is_found_where_no_file_is_in_one(through: str) -> None:
    there = [
        Source("headway/git/x/a.py", f"import {through}"),
        Source("headway/git/x/d.py", ""),
        Source("headway/git/hub.py", "from headway.git.y import b"),
        Source("headway/git/y/b.py", ""),
    ]
    back = Source("headway/git/y/c.py", "def f():\n    from headway.git.x.d import g")
    assert circles_of_folders(there) == {}
    assert circle_in(imported([*there, back])) == []
    assert list(circles_of_folders([*there, back])) == ["headway.git"]


def test_every_file_lies_in_a_room() -> None:
    assert {source.room for source in sources()} == set(ROOMS)


def test_benchmarks_are_short_too() -> None:
    paths = sorted((HOME / "benchmarks").rglob("*.py"))
    found = [Source(path.relative_to(HOME).as_posix(), path.read_text()) for path in paths]
    assert [finding for source in found for finding in lengths(source)] == []


def unneeded(exceptions: Collection[str], broken: Collection[str]) -> list[str]:
    """Exceptions from a rule that nothing breaks any more."""
    return [place for place in exceptions if place not in broken]


def test_each_exception_is_still_needed() -> None:
    clocks = {source.path for source in sources() for _, name in uses(source) if name in WALL_CLOCKS}
    assert unneeded(WALL_CLOCK, clocks) == []
    assert len(TOO_LONG) <= MOST_TOO_LONG
    long_on_purpose = list(TOO_LONG)
    assert unneeded(long_on_purpose, {place for source in sources() for place in too_long(source)}) == []
    long = Source("headway/git/x.py", "x = 1\n" * (FILE_LINES + 1))
    assert unneeded(["headway/git/x.py", "headway/git/gone.py"], too_long(long)) == ["headway/git/gone.py"]


def test_the_workflow_sandbox_lets_through_the_domain_and_the_activities_only() -> None:
    assert [(source.path, found) for source in sources() for found in passthrough(source)] == [
        ("workflows/replay.py", ("headway.domain", "activities"))
    ]
    assert [name for source in sources() for _, name in uses(source) if "UnsandboxedWorkflowRunner" in name] == []


def test_ruff_bans_in_workflows_what_no_replay_repeats() -> None:
    settings = tomllib.loads((HOME / "workflows" / "ruff.toml").read_text())
    banned = set(settings["lint"]["flake8-tidy-imports"]["banned-api"])
    assert settings["extend"] == "../pyproject.toml"
    assert {"os", "time", "random", "uuid", "socket", "subprocess", "threading", "asyncio.wait", *CLOCKS} <= banned
    assert [name for name in banned if name.removeprefix("asyncio.") in LOOP_THAT_REPLAYS] == []


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        ("headway/domain/x.py", "from headway.git.hub import Hub", "headway.domain imports headway.git"),
        ("headway/domain/x.py", "from headway import git", "headway.domain imports headway.git"),
        ("headway/domain/x.py", "from ..git import hub", "headway.domain imports headway.git"),
        ("headway/domain/__init__.py", "from ..git import hub", "headway.domain imports headway.git"),
        ("headway/git/x.py", "import headway.eventlog.store as logs", "headway.git imports headway.eventlog"),
        ("headway/models/x.py", "import temporalio.client", "headway.models imports temporalio"),
        ("headway/agents/x.py", "from activities import work", "headway.agents imports activities"),
        ("headway/agents/x.py", "import openai", "headway.agents imports openai"),
        ("headway/rehearsal/x.py", "from headway.models import turn", "headway.rehearsal imports headway.models"),
        ("headway/cli/x.py", "def f():\n    from headway.agents import loop", "headway.cli imports headway.agents"),
        ("headway/cli/x.py", "import worker", "headway.cli imports worker"),
        ("activities/x.py", "from headway.git.hub import Hub", "activities imports headway.git"),
        ("activities/x.py", "from workflows import options", "activities imports workflows"),
        ("workflows/x.py", "from headway.agents.loop import Loop", "workflows imports headway.agents"),
        ("workflows/x.py", "import_module = importlib.import_module('worker')", "workflows imports worker"),
        ("worker.py", "from headway.rehearsal.host import host", "worker imports headway.rehearsal"),
    ],
)
def test_an_import_the_wrong_way_is_found(path: str, text: str, finding: str) -> None:
    assert [found.partition(": ")[2] for found in wrong_imports(Source(path, text))] == [finding]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("headway/git/x.py", "from headway.domain.ids import Oid\nfrom headway.git.repo import run\nimport git"),
        ("headway/cli/worker.py", "import worker"),
        (
            "headway/cli/x.py",
            "import headway\nfrom headway.models.endpoint_variables import endpoint_from\nimport temporalio",
        ),
        ("workflows/x.py", "from activities.work import Work\nfrom workflows import options\nimport temporalio"),
    ],
)
def test_an_import_the_right_way_is_none(path: str, text: str) -> None:
    assert wrong_imports(Source(path, text)) == []


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("headway/domain/x.py", "import os.path", "os.path"),
        ("headway/domain/x.py", "from time import time", "time.time"),
        ("headway/domain/x.py", "from pathlib import Path", "pathlib.Path"),
        ("headway/domain/x.py", "from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("headway/domain/x.py", "def f():\n    import random", "random"),
        ("headway/domain/x.py", "open('x')", "open"),
        ("headway/domain/x.py", "hash('x')", "hash"),
        ("workflows/x.py", "from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("workflows/x.py", "import datetime as d\nd.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("workflows/x.py", "import uuid", "uuid"),
        ("workflows/x.py", "import asyncio\nasyncio.to_thread(f)", "asyncio.to_thread"),
        ("workflows/x.py", "from asyncio import wait\nwait(f)", "asyncio.wait"),
        (
            "workflows/x.py",
            "from temporalio import workflow\nwith workflow.unsafe.imports_passed_through(): pass",
            "temporalio.workflow.unsafe.imports_passed_through",
        ),
    ],
)
def test_an_effect_in_pure_code_is_found(path: str, text: str, name: str) -> None:
    assert any(f": {name} in " in finding for finding in impurities(Source(path, text)))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("headway/eventlog/x.py", "import os, time\nopen('x')"),
        ("workflows/x.py", "import asyncio\nasyncio.gather(a, b)\nasyncio.wait_for(a, 1)\nasyncio.sleep(1)"),
        ("workflows/x.py", "from datetime import timedelta\ntimedelta(seconds=1)"),
        ("headway/domain/x.py", "import re, json, hashlib\nre.compile('x')\nfound.open()"),
        ("headway/domain/x.py", "from datetime import UTC, datetime\ndatetime.fromtimestamp(1, UTC)"),
    ],
)
def test_what_replays_is_allowed(path: str, text: str) -> None:
    assert impurities(Source(path, text)) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("headway/domain/x.py", "class State(BaseModel):\n    seen: set[str] = set()"),
        ("headway/domain/x.py", "class State(BaseModel):\n    seen: dict[str, 'frozenset[str]'] = {}"),
        ("headway/domain/x.py", "class State(BaseModel):\n    seen: typing.AbstractSet[str]"),
        ("workflows/x.py", "class W:\n    def __init__(self):\n        self.seen = set()"),
        ("workflows/x.py", "class W:\n    def __init__(self):\n        self.seen = {1, 2}"),
        ("workflows/x.py", "for key in {key for key in keys}: pass"),
        ("workflows/x.py", "def f(keys: frozenset[str]): pass"),
    ],
)
def test_a_set_in_workflow_state_is_found(path: str, text: str) -> None:
    assert sets_in_state(Source(path, text)) != []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("headway/domain/x.py", "LATER = frozenset({'a'})\ndef f(): return sorted({1, 2})"),
        ("workflows/x.py", "if status in {Status.DONE, Status.FAILED}: pass"),
        ("activities/x.py", "class Store:\n    seen: set[str]"),
    ],
)
def test_a_set_that_no_replay_walks_over_is_allowed(path: str, text: str) -> None:
    assert sets_in_state(Source(path, text)) == []


def test_what_is_too_long_is_found() -> None:
    function = "def f():\n" + "    pass\n" * FUNCTION_LINES
    assert lengths(Source("headway/git/x.py", function)) == [f"headway/git/x.py:f: {FUNCTION_LINES + 1} lines"]
    assert lengths(Source("headway/git/x.py", "pass\n" * FILE_LINES)) == []
    assert lengths(Source("headway/git/x.py", "pass\n" * (FILE_LINES + 1))) == [
        f"headway/git/x.py: {FILE_LINES + 1} lines"
    ]


def test_another_passthrough_is_found() -> None:
    text = "SandboxRestrictions.default.with_passthrough_modules('headway', NAME)"
    assert passthrough(Source("worker.py", text)) == [("headway", "NAME")]
