"""The commits that a run has landed, read from its hub when that is on this machine."""

from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.ids import RunName
from headway.git.environment import hermetic_environment
from headway.git.landed import subject_of
from headway.git.repo import run_git
from headway.git.trailers import read

MOST = 2_000


@dataclass(frozen=True)
class Commit:
    """One commit on the trunk."""

    short: str
    subject: str


def hub_of(home: Path, run: RunName) -> Path:
    """The bare repository that the run's agents share."""
    return home / "runs" / run / "hub.git"


def landed(home: Path, run: RunName) -> list[Commit]:
    """What the run landed so far, oldest first; empty when its hub is not here."""
    hub = hub_of(home, run)
    if not hub.is_dir():
        return []
    args = ["-C", str(hub), "log", "--first-parent", f"--max-count={MOST}", "-z", "--format=%h%n%B", "refs/heads/main"]
    try:
        answer = run_git(args, env=hermetic_environment(), ok=None, timeout_s=20)
    except TransientError:
        return []
    if answer.code:
        return []
    commits = []
    for record in answer.text.split("\0"):
        short, _, message = record.strip("\n").partition("\n")
        said = read(message)
        if said is None or said.run != run:
            # The trunk of the user's repository begins here.
            break
        commits.append(Commit(short, subject_of(message)))
    return commits[::-1]
