"""Everything that a run has left behind: on the service, on this machine, in the user's repository."""

import os
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client, WorkflowExecution

from headway.domain.errors import HeadwayError
from headway.domain.ids import RunName
from headway.eventlog.local_store import LocalStore
from headway.git.hub import Hub
from headway.git.published import Branch, branches, commits_only_in
from headway.git.unlanded import Unlanded, unlanded
from headway.runs.landed_commits import hub_of
from headway.runs.run_lookup import KnownRun, executions, find_run
from headway.system.walk import walk

MB = 1_000_000
KB = 1_000


@dataclass(frozen=True)
class UserRepository:
    """The hub's knowledge of a run.

    Attributes:
        address: The user's repository, without any password.
        branches: Its branches that were published there.
        problem: Reason why its branches cannot be looked at; they stay then.
        commits: The run's own commits on the trunk.
        only_here: Number of those commits that only the hub and the removable branches hold.
    """

    address: str
    branches: tuple[Branch, ...]
    problem: str
    commits: int
    only_here: int
    unlanded: tuple[Unlanded, ...]


@dataclass(frozen=True)
class Folder:
    """A part of the run's folder: how many files, and their size in bytes."""

    name: str
    files: int
    size: int


@dataclass(frozen=True)
class RunResources:
    """All of it. `rests` are folders of a removal that was cut short."""

    name: RunName
    run: KnownRun | None
    histories: tuple[WorkflowExecution, ...]
    folders: tuple[Folder, ...]
    rests: tuple[Path, ...]
    repository: UserRepository | None

    @property
    def is_empty(self) -> bool:
        """True if nothing at all is left."""
        return self.run is None and not (self.histories or self.folders or self.rests)


async def resources_of(client: Client, home: Path, name: RunName) -> RunResources:
    """All remains of a run.

    Raises:
        UserError: No run can have that name.
    """
    import asyncio

    run = await find_run(client, name)
    store = LocalStore(home)
    folder = store.run_folder(name)
    return RunResources(
        name=name,
        run=run,
        histories=tuple(await executions(client, name)),
        folders=tuple(await asyncio.to_thread(_folders, folder)),
        rests=tuple(store.forgotten(name)),
        repository=await asyncio.to_thread(_repository, hub_of(home, name)),
    )


def _repository(folder: Path) -> UserRepository | None:
    if not folder.is_dir():
        return None
    hub = Hub(folder)
    try:
        kept, address = tuple(unlanded(hub)), hub.facts().source
        commits = commits_only_in(hub, [])
    except HeadwayError as error:
        return UserRepository("", (), f"{folder} cannot be read: {error}", 0, 0, ())
    try:
        found, problem = tuple(branches(hub)), ""
    except HeadwayError as error:
        found, problem = (), str(error)
    staying = [branch.there for branch in found if branch.there is not None and (branch.kept or branch.elsewhere)]
    return UserRepository(address, found, problem, commits, commits_only_in(hub, staying), kept)


def _folders(folder: Path) -> list[Folder]:
    if not folder.is_dir():
        return []
    loose = [path for path in folder.iterdir() if not path.is_dir() or path.is_symlink()]
    found = [_measured(path.name, path) for path in sorted(folder.iterdir()) if path not in loose]
    if loose:
        found.append(Folder("other files", len(loose), sum(path.lstat().st_size for path in loose)))
    return found or [Folder("nothing in it", 0, 0)]


def _measured(name: str, folder: Path) -> Folder:
    files = size = 0
    for place in walk(folder):
        for file in place.names:
            try:
                size += os.stat(file, dir_fd=place.fd, follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
            files += 1
    return Folder(name, files, size)


def readable(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / MB:,.1f} MB" if size >= MB else f"{size / KB:,.1f} kB" if size >= KB else f"{size} bytes"
