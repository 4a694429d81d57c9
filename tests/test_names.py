"""Files, classes and functions have the field's words: each old name is refused in the room that it had.

Words in prose, variables and attributes are free, and so are the contracts with users (a sandbox *level*, a run that is
*parked*) and with the APIs of models.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.patterns import ROOT

OLD: dict[str, dict[str, str]] = {
    "": {
        "run_desk": "lifecycle",
        "planning_desk": "planner_tools",
        "workbench": "worker_tools",
        "handoff_desk": "handoff_store",
        "told_to_temporal": "as_application_error",
    },
    "workflows": {
        "errand": "reconcile",
        "stirred": "dirty",
        "here": "execution",
        "messages": "signals",
    },
    "activities": {
        "pulse": "heartbeat",
        "parking": "outage_reporter",
        "parkings": "outages",
        "tell_parking": "report_outage",
        "ways": "outage_reporter",
    },
    "headway/agents": {
        "lander": "land_tool",
        "job": "attempt",
        "ending": "finish_attempt",
        "last_word": "final_reply",
        "talk": "conversation",
        "elsewhere": "open_task_index",
        "beneath": "safe_open",
        "spoken": "text_tool_calls",
        "doubt": "finish_checks",
        "standing": "work_state",
        "rounds": "planner_guards",
        "briefing": "planner_messages",
        "assignment": "task_message",
        "holding": "workspace_lock",
        "recall": "retention",
        "slice": "grant",
    },
    "headway/editing": {
        "apart": "edit_process",
        "beneath": "safe_open",
    },
    "headway/eventlog": {
        "fold": "view",
        "spell": "active_time",
        "leftover": "run_summary",
        "recall": "log_reader",
        "talk": "conversation",
    },
    "headway/models": {
        "gate": "circuit_breaker",
        "gate_file": "breaker_store",
        "flow": "breaker_state",
        "concession": "unsupported_params",
        "conceded": "dropped",
        "exchange": "http_client",
        "calibration": "token_estimate",
        "resets": "retry_after",
        "spoken": "text_calls",
    },
    "headway/git": {
        "fold": "group_commit",
        "folding": "group_commit",
        "turns": "landing_queue",
        "spool": "queue_files",
        "scratch": "merge_dir",
        "ladder": "workspace_backend",
        "rung": "workspace_backend",
        "generation": "base_layer",
        "building": "build_base_layer",
        "upkeep": "maintenance",
        "leftover": "gc",
        "source": "upstream",
        "standing": "notes",
        "warmth": "setup_cache",
        "made_by_setup": "setup_changes",
    },
    "headway/sandbox": {
        "cage": "cgroup/group",
        "caged": "in_group",
        "crew": "concurrency",
        "gate": "admission",
        "heavy": "command_cost",
        "keeper": "reaper",
        "wall": "spec",
        "level": "backend",
        "visible": "host_binds",
        "tree": "disk_usage",
        "reaching": "netns",
        "starter": "clean_mount_spawner",
        "clearing": "clean_mounts",
    },
    "headway/policy": {
        "wall": "sandbox_policy",
        "walled": "sandbox_policy",
        "walling": "sandbox_policy",
    },
    "headway/runs": {
        "warming": "setup_runner",
        "warmed": "setup_runner",
        "footprint": "run_resources",
        "taken_turn": "turn_history",
        "known_run": "run_lookup",
        "ending": "run_end",
    },
    "headway/cli": {
        "holding": "control_client",
        "footprint": "run_resources",
        "ending": "run_end",
        "taken_turn": "turn_history",
        "needs": "preflight",
        "leaving": "process_exit",
        "leash": "die_with_parent",
    },
    "headway/host": {
        "leash": "die_with_parent",
        "leaving": "process_exit",
    },
    "headway/domain": {
        "book": "children",
        "purse": "account",
        "slice": "grant",
        "lent": "granted",
        "cut": "grant_version",
        "running": "state/run",
        "planning": "state/planner",
        "quiet": "stall",
        "parking": "model_outage",
        "outstanding": "state/children",
        "finding": "diagnostic",
        "ending": "planner_end",
    },
}
"""Room -> old name -> new one. An old name stands for its plural as well, and is found as a part of a longer name."""

FREE = {
    "workflows": {"odd_messages"},
    "headway/sandbox": {"is_heavy", "_is_heavy", "level", "_look_at_trees"},
    "headway/agents": {"conflict_rounds"},
    "headway/domain": {"ControlBook", "finding"},
    "headway/git": {"generations"},
    "headway/runs": {"KnownRun", "_generations", "_Generation"},
}
"""Names by room that may stay: a term that users read, or another thing of the same name."""


class Name(NamedTuple):
    """A file, class or function, with the parts of its name."""

    place: str
    name: str

    @property
    def parts(self) -> list[str]:
        """The words of the name in lower case: `RunDesk` and `run_desk` have the same ones."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower().strip("_").split("_")


@cache
def names(path: Path) -> tuple[Name, ...]:
    """The names that a source defines."""
    return tuple(_names(path))


def _names(path: Path) -> Iterator[Name]:
    place = path.relative_to(ROOT).as_posix()
    yield Name(place, path.stem)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Name(f"{place}:{node.lineno}", node.name)


def old_word(name: Name, room: str) -> str | None:
    """The old name that stands in a name of this room; None if there is none."""
    if name.name in FREE.get(room, ()):
        return None
    for old in OLD[room]:
        words = old.split("_")
        for at in range(len(name.parts) - len(words) + 1):
            found = name.parts[at : at + len(words)]
            if found[:-1] == words[:-1] and found[-1] in {words[-1], f"{words[-1]}s"}:
                return old
    return None


def sources(room: str) -> list[Path]:
    """The sources of a room; of all rooms for the empty name."""
    if room:
        return sorted((ROOT / room).rglob("*.py"))
    return [ROOT / "worker.py", *(path for each in ("headway", "workflows", "activities") for path in sources(each))]


STILL: dict[str, set[str]] = {"activities": {"parkings", "tell_parking"}}
"""Names by room that still wait for their new one. A set only shrinks."""


@pytest.mark.parametrize("room", OLD, ids=lambda room: room or "everywhere")
def test_no_name_is_an_old_one(room: str) -> None:
    still, found = STILL.get(room, set()), {}
    for name in (name for path in sources(room) for name in names(path)):
        if (old := old_word(name, room)) is not None:
            found[name.name] = f"{name.place} {name.name}: '{old}' is '{OLD[room][old]}' now"
    assert not found.keys() - still, "\n".join(text for name, text in found.items() if name not in still)


@pytest.mark.parametrize(
    ("name", "old"),
    [("Cage", "cage"), ("_caged", "caged"), ("kill_cages", "cage"), ("Scaffold", None), ("level", None)],
)
def test_the_rule_finds_an_old_name(name: str, old: str | None) -> None:
    assert old_word(Name("", name), "headway/sandbox") == old


def test_a_name_of_two_words_is_found_as_a_whole() -> None:
    assert old_word(Name("", "RunDesk"), "") == "run_desk"
    assert old_word(Name("", "run_the_desk"), "") is None
