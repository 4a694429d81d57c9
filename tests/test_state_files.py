"""One place writes the engine's files. What writes any other way is listed here, with the reason.

A state file is written whole by `headway.system.files`. It is synced, or its loss is harmless: `UNSYNCED` says why.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.test_architecture import Source, sources

WRITES = frozenset({"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "TemporaryFile", "copyfile", "copy2"})
LINKS = frozenset({"link", "hardlink_to"})
TO_WRITE = frozenset("wax+")
FLAGS = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT"})

_LOCK = "a lock file: nothing is read from it but whether it is held"
_LAYER = "files of a layer or a workspace, which are trusted only within the boot that wrote them"
_INDEX = "git's index of a layer or a workspace; the same"
_KERNEL = "a file of the kernel's, not of a disk"
_TRIAL = "a trial of what the machine can do, thrown away at its end"

OTHER: dict[str, str] = {
    "headway/editing/safe_open.py:replace_at": "an agent's own file, below folders that it may move meanwhile",
    "headway/runs/workspace_lock.py:alone": _LOCK,
    "headway/host/child_process.py:_append_to": "what a child prints, appended by the child itself",
    "headway/host/child_process.py:keep_small": "the same, set aside",
    "headway/host/child_process.py:_open_log": "what a child prints, appended by the child itself",
    "headway/cli/streams.py:prepare_streams": "/dev/null",
    "headway/host/supervisor_state.py:claim": _LOCK,
    "headway/cli/up.py:_in_background": "what the supervisor prints",
    "headway/git/attributes.py:followed": "attributes for one merge, made again for the next",
    "headway/git/attributes.py:_write": "the same",
    "headway/git/workspace/build_base_layer.py:_check_out": _INDEX,
    "headway/git/workspace/build_base_layer.py:_index": _INDEX,
    "headway/git/workspace/checkout.py:_bring": _INDEX,
    "headway/git/workspace/checkout.py:_settle": _INDEX,
    "headway/git/workspace/checkout.py:fill": _INDEX,
    "headway/git/workspace/checkout.py:index": _INDEX,
    "headway/git/workspace/checkout.py:scan": _INDEX,
    "headway/git/workspace/base_layers.py:begin": _LOCK,
    "headway/git/workspace/base_layers.py:half_built": _LOCK,
    "headway/git/workspace/base_layers.py:in_use": _LOCK,
    "headway/git/workspace/base_layers.py:reclaim": _LOCK,
    "headway/git/hub.py:_init": "the hub is synced as a whole before it gets its name",
    "headway/git/workspace/layers.py:_put_over": _LAYER,
    "headway/git/gc.py:_is_held": _LOCK,
    "headway/git/workspace/overlay.py:_try_out": _TRIAL,
    "headway/git/landing/pack.py:_put": "a pack: synced, then named, then its folder is synced",
    "headway/git/workspace/private_git.py:make": _LAYER,
    "headway/git/workspace/private_git.py:stand_on": _INDEX,
    "headway/git/refs.py:_take_lock": "a ref, by git's own lock file: synced, then named, then its folder is synced",
    "headway/git/workspace/scan.py:_index_before": _INDEX,
    "headway/git/workspace/scan.py:_without_conversions": _INDEX,
    "headway/git/remote_upstream.py:_bring_commit": "a part of a new hub, which is synced before it gets its name",
    "headway/git/local_upstream.py:bring": "the same",
    "headway/git/landing/queue_files.py:is_dead": _LOCK,
    "headway/git/landing/queue_files.py:enter": _LOCK,
    "headway/git/landing/trunk_lock.py:__init__": _LOCK,
    "headway/git/maintenance.py:tidy": _LOCK,
    "headway/models/breaker_store.py:_alone": _LOCK,
    "headway/models/reachable.py:_check_certificates": "the user's own file for TLS keys: whether it can be written",
    "headway/models/breaker_store.py:take": _LOCK,
    "headway/sandbox/cgroup/group.py:write": _KERNEL,
    "headway/sandbox/caches.py:keep_small": _LOCK,
    "headway/sandbox/caches.py:shared_caches": "the settings of a build cache, which are made where they are missing",
    "headway/sandbox/admission/admission.py:_free_slot": _LOCK,
    "headway/sandbox/cgroup/hierarchy.py:_enable": _KERNEL,
    "headway/sandbox/cgroup/hierarchy.py:_make_room": _KERNEL,
    "headway/sandbox/backends/trial.py:try_out": _TRIAL,
    "headway/sandbox/backends/netns.py:_write": _KERNEL,
    "headway/eventlog/local_log.py:_cut": "what a crash left half written, for whoever wants to know",
    "headway/eventlog/local_log.py:_open_file": "a log: appended to, and synced by its own rules",
}
"""What writes in another way than `write_whole`, each with the reason."""

UNSYNCED: dict[str, str] = {
    "headway/git/workspace/checkout.py:_bring": _LAYER,
    "headway/git/workspace/checkout.py:fill": _LAYER,
    "headway/git/landing/growth.py:growth": "a sum that is made again from the trunk where it is missing or torn",
    "headway/git/workspace/setup_cache.py:note_withheld": "a note for the user, written again at the next setup",
    "headway/eventlog/local_store.py:leave": "a note for other agents: costs a remark on overlapping tasks",
    "headway/host/supervisor_state.py:write": "no supervisor of an earlier boot lives",
    "headway/host/upgrade.py:write": "the open workflows are replayed once more",
    "headway/git/workspace/build_base_layer.py:_index": _LAYER,
    "headway/git/workspace/build_base_layer.py:publish": _LAYER,
    "headway/git/workspace/setup_changes.py:store_setup_changes": "after a machine crash the workspace is made anew",
    "headway/git/workspace/private_git.py:stand_on": _INDEX,
    "headway/git/landing/queue_files.py:put": "a submission: after a crash of the machine nobody waits for its answer",
    "headway/git/landing/queue_files.py:answer": "after a crash of the machine nobody waits for it",
    "headway/git/workspace/notes.py:store_owner": "a torn one counts as of another boot: its workspace is set aside",
    "headway/git/workspace/notes.py:store_notes": "the same",
}
"""What is written whole without a sync, and why its loss does no harm."""


def writes(source: Source) -> Iterator[tuple[str, str]]:
    """Every call of a source that may write a file, as `path:function` and the call's name."""
    for function, call in _calls(source.tree, "module"):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        base = ast.unparse(call.func).removesuffix(name)
        words = {
            part.value for part in ast.walk(call) if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }
        flags = {part.attr for part in ast.walk(call) if isinstance(part, ast.Attribute)}
        match name:
            case _ if name in WRITES:
                yield f"{source.path}:{function}", name
            case _ if name in LINKS and (base in {"os.", ""} or name == "hardlink_to"):
                yield f"{source.path}:{function}", name
            case "open" if base == "os." and flags & FLAGS:
                yield f"{source.path}:{function}", "os.open"
            case "open" if base != "os." and any(
                set(word) <= set("rwxab+t") and set(word) & TO_WRITE for word in words
            ):
                yield f"{source.path}:{function}", "open"


def unsynced(source: Source) -> Iterator[str]:
    """Every place that writes a whole file without a sync, as `path:function`."""
    for function, call in _calls(source.tree, "module"):
        if getattr(call.func, "id", "") == "write_whole":
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if given.get("synced") != "True":
                yield f"{source.path}:{function}"


def _calls(tree: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Call):
            yield function, node
        yield from _calls(node, inner)


def test_nothing_else_writes_a_file() -> None:
    outside = [source for source in sources() if source.room != "headway.system"]
    assert {place for source in outside for place, _ in writes(source)} == set(OTHER)


def test_a_state_file_is_synced_or_its_loss_is_harmless() -> None:
    assert {place for source in sources() for place in unsynced(source)} == set(UNSYNCED)


@pytest.mark.parametrize(
    "call",
    [
        "Path(x).write_text('y')",
        "path.write_bytes(b'y')",
        "open(x, 'w')",
        "open(x, mode='r+')",
        "path.open('ab')",
        "os.open(x, os.O_WRONLY | os.O_CREAT, 0o600)",
        "tempfile.mkstemp()",
        "os.link(x, y)",
        "shutil.copyfile(x, y)",
    ],
)
def test_a_write_is_found(call: str) -> None:
    assert [place for place, _ in writes(Source("headway/git/x.py", f"def f():\n    {call}"))] == ["headway/git/x.py:f"]


@pytest.mark.parametrize("call", ["open(x)", "path.open('rb')", "os.open(x, os.O_RDONLY)", "database.open('table')"])
def test_a_read_is_none(call: str) -> None:
    assert list(writes(Source("headway/git/x.py", f"def f():\n    {call}"))) == []


def test_an_unsynced_file_is_found() -> None:
    text = "def f():\n    write_whole(path, b'', synced=False)\ndef g():\n    write_whole(path, b'', synced=True)"
    assert list(unsynced(Source("headway/git/x.py", text))) == ["headway/git/x.py:f"]
