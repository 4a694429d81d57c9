"""What the tests of this room stand on: a user's repository, and a run with its hub, workspaces and landing."""

import itertools
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from headway.domain.ids import AgentId, Fence, RunName
from headway.git.hub import Hub, HubFacts
from headway.git.landing.landing import Landing, LandingOutcome, Submission
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import WorkspaceBackend
from headway.git.workspace.workspaces import Workspaces
from tests.support.waiting import wait_until

RUN = RunName("tidy-up")
AUTHOR = "Bob Author <bob@example.org>"


def git(folder: Path, *args: str, check: bool = True) -> str:
    """Run git as a user would, and tell what it said."""
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def write(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write files, or delete those that are None."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def make_repository(folder: Path, files: Mapping[str, str | bytes | None]) -> Path:
    """A repository with one commit on `main`."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    write(folder, files)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=First commit")
    return folder


def allowed() -> None:
    """A lease that is held."""


def held(_fence: Fence) -> bool:
    """The same, as another process sees it."""
    return True


def task(number: int) -> AgentId:
    """The id of a task below the root planner."""
    return AgentId(f"{RUN}/root-0a1b2c3d/1.{number}-{number:08x}")


RUNGS = tuple(get_args(WorkspaceBackend))
"""For a test that is to hold whichever way workspaces are made."""


@dataclass
class Ground:
    """One run on one repository."""

    hub: Hub
    facts: HubFacts
    workspaces: Workspaces
    landing: Landing
    calls: "itertools.count[int]" = field(default_factory=itertools.count)

    @classmethod
    def prepare(cls, state: Path, source: Path, rung: WorkspaceBackend | None = None) -> "Ground":
        """A run whose state lies in `state`; its workspaces are made in the way of `rung`, by default the best one."""
        hub = Hub(state / "hub.git")
        facts = hub.prepare(str(source), None)
        return cls(hub, facts, Workspaces(state / "workspaces", hub, rung), Landing(hub, held))

    def open(self, number: int = 0, attempt: int = 1, lease: int = 1) -> Workspace:
        """The workspace of a task."""
        return self.workspaces.open(task(number), attempt, lease)

    def ask(
        self,
        workspace: Workspace,
        message: str = "Change something",
        *,
        paths: tuple[str, ...] | None = None,
        accept_doubtful: bool = False,
        place: str | None = None,
        fence: str = "held",
    ) -> Submission:
        """What an agent would submit; every call stands at a place of its own."""
        return Submission(
            message=message,
            author=AUTHOR,
            run=RUN,
            task=workspace.task,
            planner=(f"{RUN}/root-0a1b2c3d",),
            place=place or f"{workspace.task}:{next(self.calls)}",
            fence=Fence(fence),
            paths=paths,
            accept_doubtful=accept_doubtful,
        )

    def land(
        self,
        workspace: Workspace,
        message: str = "Change something",
        *,
        paths: tuple[str, ...] | None = None,
        accept_doubtful: bool = False,
        check: Callable[[], None] = allowed,
    ) -> LandingOutcome:
        """Land what a workspace holds."""
        asked = self.ask(workspace, message, paths=paths, accept_doubtful=accept_doubtful)
        return self.landing.land(workspace, asked, check)

    def on_trunk(self, path: str) -> bytes:
        """A file as the trunk has it."""
        return self.hub.read_file("HEAD", path)

    def landings(self) -> int:
        """Commits on the trunk since the base."""
        return int(git(self.hub.folder, "rev-list", "--count", f"{self.facts.base}..refs/heads/main"))

    def check_whole(self) -> None:
        """The hub is a sound repository."""
        git(self.hub.folder, "fsck", "--full", "--no-dangling", "--no-progress")


def own_mb() -> int:
    """The peak of this process's memory in megabytes; that of a process that it starts is never less."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def in_a_process(work: Callable[[], object]) -> int:
    """Begin `work` in a process of its own, which fails if it comes back."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


@contextmanager
def trunk_locked(ground: Ground) -> Iterator[None]:
    """Hold the trunk's lock, as long as somebody else's turn takes."""
    lock = TrunkLock(ground.hub.folder / "land.flock")
    wait_until(lock.take)
    try:
        yield
    finally:
        lock.release()
        lock.close()


def changed(ground: Ground, number: int) -> Workspace:
    """A workspace with a new file to land."""
    workspace = ground.open(number)
    write(workspace.path, {f"own/{number}.txt": f"{number}\n"})
    return workspace


def queued(ground: Ground) -> list[Path]:
    """The submissions that wait, the oldest first."""
    return sorted((ground.hub.folder / "landing/queue").glob("[!.]*"))


class LandingThread(threading.Thread):
    """A landing that goes on in a thread."""

    def __init__(self, ground: Ground, workspace: Workspace, check: Callable[[], None] = allowed) -> None:
        super().__init__()
        self.result: LandingOutcome | Exception | None = None
        self._ground, self._workspace, self._check = ground, workspace, check
        self.start()

    def run(self) -> None:
        """Land."""
        try:
            self.result = self._ground.land(self._workspace, check=self._check)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.result = error

    def answer(self) -> LandingOutcome | Exception | None:
        """Its end, waited for."""
        self.join(60)
        return self.result
