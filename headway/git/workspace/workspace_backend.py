"""The workspace backend of this machine: the best one that a self-test finds working, or the configured one."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from headway.domain.diagnostic import Diagnostic
from headway.domain.errors import UserError
from headway.git.workspace import overlay
from headway.system.file_system import file_system

WorkspaceBackend = Literal["overlay", "clone"]
"""`overlay`: a mount over layers that all agents share. `clone`: a checkout of its own, the hub's objects borrowed."""

SETTING = "HEADWAY_WORKSPACES"


def backend_for(folder: Path, environment: Mapping[str, str] = os.environ) -> WorkspaceBackend:
    """The way in which workspaces below `folder` are made.

    Raises:
        UserError: `HEADWAY_WORKSPACES` asks for one that there is not, or that does not work here.
    """
    asked = environment.get(SETTING, "").strip()
    if asked == "clone":
        return "clone"
    if asked not in {"", "overlay"}:
        raise UserError(
            f"{SETTING}: there is no '{asked}'", f"Choose one of {', '.join(get_args(WorkspaceBackend))}, or unset it."
        )
    wrong = overlay_trouble(folder)
    if wrong and asked:
        raise UserError(f"{SETTING}: overlay does not work here: {wrong}", _remedy(folder))
    return "clone" if wrong else "overlay"


def overlay_trouble(folder: Path) -> str:
    """Reason why overlays cannot be used below `folder`, or nothing. Tried once in the life of a process."""
    folder.mkdir(parents=True, exist_ok=True)
    return _tried(folder.absolute())


@lru_cache(maxsize=64)
def _tried(folder: Path) -> str:
    return overlay.trouble(folder)


def _remedy(folder: Path) -> str:
    kind = file_system(folder)
    if kind in {"overlay", "fuse.fuse-overlayfs"}:
        return "The state folder lies on an overlay itself, as in a container: put HEADWAY_HOME on a volume or a tmpfs."
    if os.geteuid() != 0:
        return "Run the worker processes as root, or give them CAP_SYS_ADMIN."
    return "In a container: give it CAP_SYS_ADMIN. Else put HEADWAY_HOME on ext4, XFS, btrfs or a tmpfs."


def findings(folder: Path) -> tuple[Diagnostic, ...]:
    """The findings of `headway doctor` about workspaces: the backend, and the needs of the better one."""
    try:
        rung = backend_for(folder)
    except UserError as error:
        return (Diagnostic(topic="workspaces", state="broken", says=error.message, remedy=error.remedy),)
    kind = file_system(folder) or "an unknown file system"
    if rung == "overlay":
        return (Diagnostic(topic="workspaces", state="good", says=f"overlays, on {kind}"),)
    wrong = overlay_trouble(folder)
    if not wrong:
        says, remedy = (
            f"clones, on {kind}, because {SETTING} says so",
            f"Unset {SETTING} for overlays, which work here.",
        )
    else:
        says = f"clones, on {kind}: each costs a checkout and runs setup anew; {wrong}"
        remedy = _remedy(folder)
    return (Diagnostic(topic="workspaces", state="lacking", says=says, remedy=remedy),)
