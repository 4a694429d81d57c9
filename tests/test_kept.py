"""No object that lives as long as its process may grow with runs, agents, tasks or landings.

What such objects and modules keep is listed here with its bound. A dict, set, list or cache that is added to one of
them fails the test until it is listed. One that is keyed by something without an end, such as runs, is a
`BoundedCache`. A new class is not seen here; the growth net, `tests/growth`, sees what it does.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.test_architecture import Source, sources

OTHERS = ("headway/cli/", "headway/rehearsal/", "headway/domain/", "workflows/", "prompts/")
"""Rooms that are not looked at: commands and the rehearsal end with their user, workflows with their run, and values
with what holds them."""

GROWING = frozenset({"dict", "set", "list", "OrderedDict", "defaultdict", "Counter", "deque", "BoundedCache"})

_CODE = "one entry for each thing that the code or the settings name"
_AT_WORK = "what is at work in this process"

BOUNDS: dict[str, str] = {
    "activities/control.py:ControlWatch._runs": f"{_AT_WORK}: runs",
    "activities/outage_reporter.py:OutageReporter._told": f"{_AT_WORK}: runs",
    "activities/slots.py:AgentSlots._waiting": f"{_AT_WORK}: slots that are waited for",
    "activities/tries.py:Tries._rows": "activities that failed in the last ten minutes",
    "headway/models/roles.py:ModelRoles._endpoints": _CODE,
    "headway/models/roles.py:ModelRoles._found": _CODE,
    "headway/git/objects.py:Reader._commits": "1,000 commits, of one of the hubs that are kept",
    "headway/git/objects.py:Reader._small": "200 objects of 16 kB, of one of the hubs that are kept",
    "headway/git/objects.py:Reader._trees": "300,000 entries, of one of the hubs that are kept",
    "headway/git/refs.py:_sights": "1,000 lock files",
    "headway/git/landing/landing_queue.py:LandingQueue._waiting": f"{_AT_WORK}: landings",
    "headway/git/landing/landing_queue.py:_turns": "8 hubs, and those with a landing under way",
    "headway/git/landing/landing_queue.py:_left": "the hubs of the process that this one was forked from",
    "headway/git/maintenance.py:_running": f"{_AT_WORK}: packing processes",
    "headway/models/cache_watch.py:CacheWatch._missed": "100 models for each endpoint",
    "headway/models/token_estimate.py:TokenEstimate._rates": "100 models for each endpoint",
    "headway/models/left_out.py:LeftOut._dropped": "100 models for each endpoint",
    "headway/models/left_out.py:LeftOut._unread": "1,000 agents for each endpoint",
    "headway/models/billing.py:Billing._uncounted": "100 models for each endpoint",
    "headway/models/circuit_breaker.py:CircuitBreaker._queue": f"{_AT_WORK}: calls",
    "headway/models/circuit_breaker.py:CircuitBreaker.runs": f"{_AT_WORK}: runs",
    "headway/models/circuit_breaker.py:CircuitBreakers._gates": "8 models, and those that agents at work use",
    "headway/models/http_client.py:HttpClient._addresses": "the paths of one API",
    "headway/models/http_client.py:HttpClient._closing": "connections that are being closed",
    "headway/models/http_client.py:HttpClient._idle": "agents that made a call in the last 4 s",
    "headway/models/http_client.py:HttpClient._omitted": _CODE,
    "headway/models/spending.py:Spending._ledgers": f"{_AT_WORK}: runs",
    "headway/sandbox/cgroup/groups.py:Groups._busy": f"{_AT_WORK}: agents",
    "headway/sandbox/cgroup/groups.py:Groups._cages": "512 agents, and those with a command under way",
    "headway/sandbox/cgroup/groups.py:Groups._gone": "groups that the kernel still holds",
    "headway/sandbox/cgroup/groups.py:Groups._limits": "one for each of `_cages`",
    "headway/sandbox/admission/command_cost.py:LongRunners._used": "1,000 commands",
    "headway/sandbox/process/reaper.py:Reaper._groups": f"{_AT_WORK}: commands",
    "headway/sandbox/process/orphans.py:Orphans._dead_since": "children that are dead and not yet waited for",
    "headway/sandbox/process/orphans.py:Orphans._over": "2,000 commands",
    "headway/sandbox/process/watchdog.py:Watchdog._ledgers": "2,000 agents",
    "headway/sandbox/process/watchdog.py:Watchdog._watches": f"{_AT_WORK}: commands",
    "headway/system/cache.py:BoundedCache._entries": "what its maker says",
    "headway/system/cache.py:_Entry.made": "one",
    "headway/eventlog/blobs.py:Blobs._synced": "that of its log store",
    "headway/eventlog/local_store.py:LocalStore._synced": "20,000 names of blobs",
}
"""`file:Class.attribute` or `file:name` -> the most that it holds."""

LONG_LIVED = frozenset(name.rpartition(".")[0] for name in BOUNDS if "." in name.partition(":")[2])
"""The classes of which objects live as long as the process, by `file:Class`."""


def kept_in(source: Source) -> Iterator[str]:
    """What objects and modules of a source keep that can grow, and caches of functions without a bound."""
    for scope in ast.walk(source.tree):
        if isinstance(scope, ast.ClassDef):
            for node in ast.walk(scope):
                yield from (f"{source.path}:{scope.name}.{name}" for name in _attributes(node))
        if isinstance(scope, ast.FunctionDef) and _is_cached_by_argument(scope):
            yield f"{source.path}:{scope.name}"
    for node in source.tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ) if not name.isupper() and not name.startswith("__") and _grows(value):
                yield f"{source.path}:{name}"


def _attributes(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name(id="field"), keywords=keywords)):
            made = next((each.value for each in keywords if each.arg == "default_factory"), None)
            if isinstance(made, ast.Name) and made.id in GROWING:
                yield name
        case ast.AnnAssign(target=target, value=value) | ast.Assign(targets=[target, *_], value=value):
            for at, what in _pairs(target, value):
                if isinstance(at, ast.Attribute) and ast.unparse(at.value) == "self" and _grows(what):
                    yield at.attr


def _pairs(target: ast.expr, value: ast.expr | None) -> list[tuple[ast.expr, ast.expr | None]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _grows(value: ast.AST | None) -> bool:
    match value:
        case ast.Dict() | ast.Set() | ast.List() | ast.DictComp() | ast.SetComp() | ast.ListComp():
            return True
        case ast.IfExp(body=body, orelse=other):
            return _grows(body) or _grows(other)
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Subscript(value=ast.Name(id=name))):
            return name in GROWING
        case _:
            return False


def _is_cached_by_argument(function: ast.FunctionDef) -> bool:
    named = {ast.unparse(each) for each in function.decorator_list}
    without = bool(named & {"cache", "functools.cache", "lru_cache(maxsize=None)", "functools.lru_cache(maxsize=None)"})
    return without and bool(function.args.args)


def test_what_can_grow_has_a_bound() -> None:
    everything = {name for source in sources() if not source.path.startswith(OTHERS) for name in kept_in(source)}
    found = {name for name in everything if "." not in name.partition(":")[2] or name.rpartition(".")[0] in LONG_LIVED}
    assert sorted(found - BOUNDS.keys()) == [], "say what bounds it, and make it a BoundedCache where nothing does"
    assert sorted(BOUNDS.keys() - found) == [], "these are gone"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class A:\n def __init__(self):\n  self.runs: dict[str, int] = {}\n", ["x.py:A.runs"]),
        ("class A:\n def __init__(self):\n  self.a, self.b = set(), 1\n", ["x.py:A.a"]),
        ("class A:\n runs: list[str] = field(default_factory=list)\n", ["x.py:A.runs"]),
        ("class A:\n def __init__(self):\n  self.hubs = BoundedCache(8)\n", ["x.py:A.hubs"]),
        ("known: dict[str, int] = {}\n", ["x.py:known"]),
        ("@cache\ndef hub(run):\n pass\n", ["x.py:hub"]),
        ("@cache\ndef boot():\n pass\n", []),
        ("@lru_cache(maxsize=64)\ndef hub(run):\n pass\n", []),
        ("TABLE = {'a': 1}\n", []),
        ("def f():\n runs = {}\n", []),
    ],
)
def test_it_is_found_wherever_it_is_kept(text: str, names: list[str]) -> None:
    assert list(kept_in(Source("x.py", text))) == names
