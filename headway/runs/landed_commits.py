"""The commits that a run has landed, read from its hub when that is on this machine."""

from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId, Oid, RunName
from headway.git.git_environment import hermetic_environment
from headway.git.git_process import run_git
from headway.git.landed import subject_of
from headway.git.trailers import read

MOST = 20_000
"""Commits that are read at most at once, the newest. Beyond it the agents' logs tell how many there are."""
TRUNK = "refs/heads/main"


@dataclass(frozen=True)
class RunCommit:
    """One commit on the trunk.

    Attributes:
        task: The agent that landed it.
        at: Time of the commit, in seconds since the epoch.
    """

    short: str
    subject: str
    task: AgentId
    at: float
    oid: Oid


def hub_of(home: Path, run: RunName) -> Path:
    """The bare repository that the run's agents share."""
    return home / "runs" / run / "hub.git"


class Landings:
    """Reads a run's commits again and again, each once. None while its hub is not here, or git cannot be started."""

    def __init__(self, home: Path, run: RunName) -> None:
        self._hub = hub_of(home, run)
        self._run = run
        self._known: list[RunCommit] = []

    def all(self) -> tuple[RunCommit, ...]:
        """Commits that the run landed so far, oldest first."""
        if not self._hub.is_dir():
            return tuple(self._known)
        news = _log(self._hub, self._run, self._known[-1].oid if self._known else None)
        if news is None and self._known:
            # The last known one is not on the trunk any more, as after a reset by hand.
            news, self._known = _log(self._hub, self._run, None), []
        self._known += news or []
        return tuple(self._known)


def landed(home: Path, run: RunName) -> list[RunCommit]:
    """The commits that the run landed so far, oldest first; empty when its hub is not here."""
    return list(Landings(home, run).all())


def _log(hub: Path, run: RunName, since: Oid | None) -> list[RunCommit] | None:
    """The run's commits after `since`; None where git cannot tell."""
    span = [TRUNK] if since is None else [f"{since}..{TRUNK}"]
    args = ["-C", str(hub), "log", "--first-parent", f"--max-count={MOST}", "-z", "--format=%H %h %ct%n%B", *span, "--"]
    try:
        answer = run_git(args, env=hermetic_environment(), ok=None, timeout_s=20)
    except (TransientError, OSError):
        return None
    if answer.code:
        return None
    commits = []
    for record in filter(None, answer.text.split("\0")):
        facts, _, message = record.strip("\n").partition("\n")
        said = read(message)
        if said is None or said.run != run:
            # The trunk of the user's repository begins here.
            break
        oid, short, at = facts.split()
        commits.append(RunCommit(short, subject_of(message), said.task, float(at), Oid(oid)))
    return commits[::-1]
