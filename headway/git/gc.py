"""Leftovers of killed processes and ended runs in the workspaces: found first, reclaimed when the user says so."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headway.domain.errors import HeadwayError
from headway.domain.ids import AgentId, key_of
from headway.git.workspace.base_layer import discard
from headway.git.workspace.notes import Owner, load_owner
from headway.git.workspace.overlay import unmount_below
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspaces import Workspaces
from headway.system.files import delete

Kind = Literal["workspace", "check", "stale", "rest", "generation", "pool"]

_CHECK = "check-"
_STEP_LOCK = "work.lock"
_STALE = re.compile(r".+\.stale-\d+")


@dataclass(frozen=True)
class Reclaimable:
    """One file or folder that no process will use again.

    Attributes:
        owner: Its owner, where that is noted.
    """

    kind: Kind
    place: Path
    owner: Owner | None = None


def reclaimable(places: Workspaces, has_ended: Callable[[AgentId], bool], *, run_ended: bool) -> list[Reclaimable]:
    """The leftovers of a run. `has_ended` tells if a task is over for good; a task that is not has no leftovers."""
    homes = [home for home in places.folder.glob("*/*") if home.is_dir() and not home.name.startswith(".")]
    found = [left for home in sorted(homes) if (left := _home(home, has_ended, run_ended=run_ended)) is not None]
    found += _rests(places.folder)
    gone = {left.place for left in found}
    kept = [load_owner(home) for home in homes if home not in gone]
    used = {owner.generation for owner in kept if owner is not None and owner.generation is not None}
    generations = places.generations
    idle = generations.numbers() if run_ended and not used else generations.unneeded(used)
    found += [Reclaimable("generation", generations.folder / str(number)) for number in sorted(idle)]
    found += [Reclaimable("generation", place) for place in generations.half_built()]
    if run_ended and places.pool.folder.is_dir():
        found += [Reclaimable("pool", place) for place in sorted(places.pool.folder.iterdir())]
    return found


def reclaim(places: Workspaces, left: Reclaimable) -> str:
    """Take one away; returns why it stays, or nothing. Of a workspace everything is kept on the task's ref first."""
    try:
        match left.kind:
            case "workspace":
                assert left.owner is not None
                workspace = places.open(left.owner.task, left.owner.attempt, left.owner.lease + 1)
                snapshot(places.hub, workspace, left.owner.task, lambda: None)
                places.remove(workspace)
            case "generation" if not left.place.name.isdigit():
                places.generations.sweep()
            case "generation":
                with places.generations.alone():
                    discard(left.place)
            case "check" | "stale" | "rest" | "pool":
                unmount_below(left.place)
                with suppress(FileNotFoundError):
                    upper = left.place.with_name(f".{left.place.name}.upper")
                    delete(upper)
                delete(left.place)
    except (HeadwayError, OSError) as error:
        return str(error)
    return ""


def _home(home: Path, has_ended: Callable[[AgentId], bool], *, run_ended: bool) -> Reclaimable | None:
    owner = load_owner(home)
    if owner is None:
        # A crash of the machine took the note. Its task, if it goes on, sets the files aside; nothing else needs them.
        return Reclaimable("stale", home) if run_ended and not _is_held(home / _STEP_LOCK) else None
    if key_of(owner.task).startswith(_CHECK):
        at_work = owner.process is not None and owner.process.alive
        return None if at_work else Reclaimable("check", home, owner)
    if not has_ended(owner.task) or _is_held(home / _STEP_LOCK):
        return None
    return Reclaimable("stale" if _STALE.fullmatch(home.name) else "workspace", home, owner)


def _rests(folder: Path) -> Iterator[Reclaimable]:
    """Leftovers of processes that were killed while they made or removed a workspace."""
    for place in sorted(folder.glob("*/.*")):
        name, _, ending = place.name.removeprefix(".").rpartition(".")
        if ending not in {"new", "gone", "upper"} or _is_held(place.with_name(f".{name}.lock")):
            continue
        if ending != "upper" or not place.with_name(name).exists():
            yield Reclaimable("rest", place)


def _is_held(lock: Path) -> bool:
    """True if a process holds a lock file right now."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)
