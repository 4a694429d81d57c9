"""`headway doctor`: the findings about this machine, on one screen."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from headway.cli.console import say
from headway.domain.diagnostic import Diagnostic, FindingState
from headway.domain.errors import TransientError, UserError
from headway.host.home import home_from
from headway.host.worker_roles import AGENTS, USUAL_AGENTS
from headway.system.disk import Disk, DiskBounds
from headway.system.file_system import file_system

if TYPE_CHECKING:
    from headway.sandbox.cgroup.groups import Groups

MARKS: dict[FindingState, str] = {"good": "ok", "lacking": "--", "broken": "!!"}
SLOW = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "vboxsf", "drvfs"}
"""File systems whose locks or speed a run cannot build on."""

LEAST_GIT = (2, 38)
LEAST_BYTES = 10**9
"""Free bytes of the state folder's disk, below which even a small run has no room."""

TRIES = 3
"""Tries of a sandbox trial that runs out of time: a person waits for the answer."""


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, for programs.")] = False,
) -> None:
    """Check this machine: sandbox, tools, disk, model.

    Exits with 1 when something does not work.
    """
    found = asyncio.run(look(home_from()))
    if as_json:
        say(orjson.dumps([each.model_dump() for each in found], option=orjson.OPT_INDENT_2).decode())
    else:
        for line in shown(found):
            say(line)
    raise typer.Exit(1 if any(each.state == "broken" for each in found) else 0)


async def look(home: Path) -> tuple[Diagnostic, ...]:
    """Everything that can be found out about this machine."""
    from headway.git.workspace import workspace_backend
    from headway.models.settings import model_findings
    from headway.sandbox.admission.admission import Admission
    from headway.sandbox.cgroup import groups
    from headway.sandbox.disk_usage import Quota
    from headway.system import open_files

    wanted = os.environ.get(AGENTS, "").strip()
    agents = int(wanted) if wanted.isdecimal() else USUAL_AGENTS
    if (unwritable := unwritable_home(home)) is not None:
        # The trials of the other rooms write there.
        return unwritable, *open_files.findings(agents), *await asyncio.to_thread(tools)
    cages = await asyncio.to_thread(groups.Groups.detect)
    walls = await asyncio.to_thread(_walls, home, cages)
    gates = Admission(home / "gates", os.cpu_count() or 1)
    return (
        *walls,
        *(cages.findings() if cages else groups.lacking()),
        *gates.findings(),
        *Quota.usual(next(place for place in (home, *home.parents) if place.exists())).findings(),
        *open_files.findings(agents),
        *await asyncio.to_thread(tools),
        *state_folder(home),
        *await asyncio.to_thread(workspace_backend.findings, home),
        *await model_findings(os.environ, home),
    )


def _walls(home: Path, cages: "Groups | None") -> tuple[Diagnostic, ...]:
    from headway.sandbox.backends.backends import TOPIC, Backends
    from headway.sandbox.resources import Resources

    try:
        return Backends((home,), Resources(cages), tries=TRIES).findings()
    except TransientError as error:
        return (
            Diagnostic(topic=TOPIC, state="broken", says=str(error), remedy="Look again when the machine is idle."),
        )


def tools() -> Iterator[Diagnostic]:
    """Programs that every run needs."""
    from headway.host.service_settings import find_settings, load_settings
    from headway.host.temporal_cli import find_cli

    if shutil.which("git") is None:
        yield Diagnostic(
            topic="git", state="broken", says="git is not on PATH", remedy="apt install git, brew install git"
        )
    else:
        told = subprocess.run(["git", "version"], capture_output=True, text=True, check=False).stdout.split()
        version = told[2] if len(told) > 2 else "?"  # noqa: PLR2004  # git version 2.39.5
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        old = numbers < LEAST_GIT
        remedy = "install git 2.38 or newer" if old else ""
        yield Diagnostic(topic="git", state="broken" if old else "good", says=f"git {version}", remedy=remedy)
    try:
        cli = find_cli(load_settings(find_settings(None)).cli)
    except UserError as error:
        yield Diagnostic(topic="temporal", state="broken", says=error.message, remedy=error.remedy)
    else:
        yield Diagnostic(topic="temporal", state="good", says=f"temporal {cli.version} at {cli.path}")


def unwritable_home(home: Path) -> Diagnostic | None:
    """Reason why the state folder cannot be written to; None where it can."""
    try:
        with tempfile.TemporaryDirectory(prefix=".trial-", dir=home):
            return None
    except OSError as error:
        says = f"{home} cannot be written to: {error.strerror}"
        remedy = "Make room there or allow writing, or set HEADWAY_HOME to another folder."
        return Diagnostic(topic="state folder", state="broken", says=says, remedy=remedy)


def state_folder(home: Path) -> Iterator[Diagnostic]:
    """The state folder, which holds everything that a run needs to go on."""
    disk, kind = Disk.of(home), file_system(home) or "an unknown file system"
    says = f"{home} on {kind}, {disk.shown()}"
    if kind in SLOW:
        remedy = "set HEADWAY_HOME to a folder on a local disk"
        yield Diagnostic(topic="state folder", state="broken", says=f"{says}: not a local file system", remedy=remedy)
    elif (short := disk.short_for_agents(DiskBounds())) is not None:
        remedy = "free some space" if short == "disk" else "delete small files: every file takes an inode"
        says = f"{says}: agents are given out more slowly, commands wait when there is less"
        yield Diagnostic(topic="state folder", state="lacking", says=says, remedy=f"{remedy}, or move HEADWAY_HOME")
    elif disk.nbytes < LEAST_BYTES:
        says = f"{says}: too little for a run, whose agents have a copy of the repository each"
        remedy = "set HEADWAY_HOME to a folder on a larger disk"
        yield Diagnostic(topic="state folder", state="lacking", says=says, remedy=remedy)
    else:
        yield Diagnostic(topic="state folder", state="good", says=says)


def shown(found: Iterable[Diagnostic]) -> Iterator[str]:
    """The screen: a line for each finding, and one for its remedy."""
    for each in found:
        yield f"{MARKS[each.state]}  {each.topic}: {each.says}"
        if each.remedy and each.state != "good":
            yield f"      {each.remedy}"
