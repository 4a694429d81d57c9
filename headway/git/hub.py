"""The hub: the bare repository of a run, which all its agents share. Its `main` is the trunk."""

import ctypes
import os
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from headway.domain.errors import HeadwayError, UserError
from headway.domain.ids import AgentId, Oid
from headway.git import publishing, tree_reader
from headway.git.base_names import check_names
from headway.git.landed import LandedCommit, landed_since
from headway.git.ledger import LandingLedger
from headway.git.local_upstream import LocalUpstream, local_path, uncommitted
from headway.git.publishing import Publication
from headway.git.refs import read_ref
from headway.git.remote_upstream import RemoteUpstream
from headway.git.repo import Repo
from headway.git.repository_rules import RepositoryRules, read_rules
from headway.git.upstream import without_secret
from headway.system.bounded import Within
from headway.system.files import locked, sync_folder, write_whole

TRUNK = "refs/heads/main"
NOBODY = "Headway <headway@localhost>"
IGNORED_FOLDER = ".headway"
"""The harness's own folder in every workspace; it never lands."""

_FACTS = "headway.json"


@dataclass(frozen=True)
class HubFacts:
    """The start of a run.

    Attributes:
        base: The commit that the trunk started at.
        source: The user's repository, without any password.
        branch: The branch that the base was named by; None for a tag, a commit or a detached HEAD.
        author: `Name <mail>` under which work lands unless the run says otherwise.
    """

    base: Oid
    source: str
    branch: str | None
    author: str


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True)

    base: Oid
    address: str
    branch: str | None
    author: str
    rules: RepositoryRules

    def told(self) -> HubFacts:
        return HubFacts(self.base, without_secret(self.address), self.branch, self.author)


class Hub:
    """The run's repository in `folder`. Safe to use from any number of processes and threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.repo = Repo(self.folder)

    def prepare(self, source: str, base: str | None) -> HubFacts:
        """Bring the user's repository in and start the trunk at `base`; once: a second call only tells the facts.

        Raises:
            UserError: There is no such repository, it has no commit, it does not have `base`, or no file system holds
                the files of `base`.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if not self.folder.exists():
                made = self.folder.with_name(f"{self.folder.name}.new")
                # The process that made it died, because we hold the lock.
                shutil.rmtree(made, ignore_errors=True)
                try:
                    _make(made, source, base)
                    _sync(made)
                    made.rename(self.folder)
                    sync_folder(self.folder.parent)
                except BaseException:
                    shutil.rmtree(made, ignore_errors=True)
                    raise
        return self.facts()

    def facts(self) -> HubFacts:
        """The start of the run, as it was noted when the hub was made."""
        return self._facts().told()

    def _facts(self) -> _Facts:
        try:
            return _Facts.model_validate_json((self.folder / _FACTS).read_bytes())
        except FileNotFoundError:
            raise HeadwayError(f"there is no hub at {self.folder}; it has to be prepared first") from None

    def not_taken(self) -> tuple[str, ...]:
        """Uncommitted changes of the user's checkout, in words. They are no part of the run."""
        path = local_path(self.address())
        return uncommitted(path) if path is not None else ()

    def rules(self) -> RepositoryRules:
        """The rules of the base that a run cannot follow."""
        return self._facts().rules

    def address(self) -> str:
        """The user's repository as git reaches it; it may hold a password."""
        return self._facts().address

    def tip(self) -> Oid:
        """The trunk as it stands."""
        found = read_ref(self.folder, TRUNK)
        if found is None:
            raise HeadwayError(f"there is no trunk in {self.folder}")
        return found

    def is_ancestor(self, a: str, b: str) -> bool:
        """True if commit `a` is part of the history of `b`; also when they are the same."""
        return self.repo.run("merge-base", "--is-ancestor", a, b, ok=(0, 1)).code == 0

    def paths(self, tree: str) -> frozenset[str]:
        """The paths of all files of a commit or tree."""
        said = self.repo.run("ls-tree", "-r", "-z", "--name-only", tree).out
        return frozenset(path.decode(errors="surrogateescape") for path in said.split(b"\0") if path)

    def changed_paths(self, a: str, b: str) -> list[str]:
        """Paths whose files differ between two commits or trees; a rename counts as both names."""
        said = self.repo.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", a, b).out
        return [path.decode(errors="surrogateescape") for path in said.split(b"\0") if path]

    def landed(self, since: Oid, upto: Oid | None = None) -> list[LandedCommit]:
        """The trunk's own commits after `since`, oldest first; up to where it stands, or stood."""
        return landed_since(self.repo, since, upto or TRUNK)

    def landed_by(self, task: AgentId) -> list[Oid]:
        """The commits of a task that are on the trunk now, oldest first. No long history is walked for it."""
        with closing(LandingLedger(self.folder, self._facts().base, reading=True)) as ledger:
            news, ours = ledger.missing(self.tip())
            return [*(ledger.of_task(task) if ours else ()), *(mark.oid for mark in news if mark.task == task)]

    def landing_of(self, task: AgentId, mark: str) -> Oid | None:
        """The commit by which this very submission of a task is on the trunk, if it is."""
        with closing(LandingLedger(self.folder, self._facts().base, reading=True)) as ledger:
            news, ours = ledger.missing(self.tip())
            found = ledger.find(task, mark) if ours else None
            return found or next((new.oid for new in news if (new.task, new.mark) == (task, mark)), None)

    def publish(self, branch: str) -> Publication:
        """Put the trunk as it stands on the user's repository as `branch`, and tell which commit that was."""
        facts = self._facts()
        with locked(self.folder / "publish.flock") as lock:
            return publishing.publish(replace(self.repo, keep=(lock,)), self.tip(), facts.base, facts.address, branch)

    def foresee_publishing(self, branch: str) -> str:
        """The obstacle to publishing the trunk as `branch`, in words, as far as it shows beforehand; empty if there is
        none.

        Raises:
            UserError: The branch cannot be made under that name.
        """
        facts = self._facts()
        with locked(self.folder / "publish.flock") as lock:
            return publishing.foresee(replace(self.repo, keep=(lock,)), facts.base, facts.address, branch)

    def published(self, branch: str) -> Oid | None:
        """The commit that `branch` of the user's repository was put on last; None before the first."""
        return self.repo.resolve(publishing.MEMORY + branch)

    def held_to(self, within: Within) -> "Hub":
        """The same hub for an agent: each git that reads for the agent is held to the agent's bounds."""
        hub = Hub(self.folder)
        hub.repo = replace(self.repo, within=within)
        return hub

    def list_dir(self, rev: str, path: str = ".", depth: int = 1) -> str:
        """Names below a folder, one a line, folders with a slash."""
        return tree_reader.list_dir(self.repo, rev, path, depth)

    def read_file(self, rev: str, path: str) -> bytes:
        """The content of a file."""
        return tree_reader.read_file(self.repo, rev, path)

    def grep(self, rev: str, pattern: str, path: str = ".", glob: str | None = None, limit: int = 100) -> list[str]:
        """Lines that match a regular expression, as `path:line:text`."""
        return tree_reader.grep(self.repo, rev, pattern, path=path, glob=glob, limit=limit)

    def log(self, rev: str, path: str | None = None, limit: int = 20) -> str:
        """The newest commits, one a line."""
        return tree_reader.log(self.repo, rev, path, limit)

    def show(self, rev: str, path: str | None = None) -> str:
        """A commit's message and difference, cut where it gets long."""
        return tree_reader.show(self.repo, rev, path)


def _make(folder: Path, source: str, base: str | None) -> None:
    if not source.strip():
        raise UserError("repo: is empty", "Give the path or the URL of a git repository.")
    if base is not None and not base.strip():
        raise UserError("base: is empty", "Name a branch, a tag or a commit, or leave 'base' out.")
    path = local_path(source)
    found = LocalUpstream.find(path) if path is not None else RemoteUpstream(source)
    hub = Repo(folder)
    if isinstance(found, LocalUpstream):
        start = found.start(base)
        _init(hub, found.object_format())
        found.bring(start, hub)
    else:
        _init(hub, found.object_format())
        start = found.bring(base, hub)
    for ref in hub.run("for-each-ref", "--format=%(refname)").text.split():
        hub.run("update-ref", "-d", ref)
    hub.run("update-ref", TRUNK, start.commit)
    check_names(hub, start.commit)
    facts = _Facts(
        base=start.commit,
        address=found.address,
        branch=start.branch,
        author=found.author() or NOBODY,
        rules=read_rules(hub, start.commit),
    )
    # It may hold a password in its address.
    write_whole(folder / _FACTS, facts.model_dump_json().encode(), synced=True, mode=0o600)


def _init(hub: Repo, object_format: str) -> None:
    hub.git_dir.mkdir(mode=0o700)
    hub.run("init", "--bare", "--quiet", "--template=", f"--object-format={object_format}", str(hub.git_dir))
    # A HEAD that names the trunk would be locked with it, and a kill would leave two locks.
    hub.run("symbolic-ref", "HEAD", "refs/heads/_none")
    for key, value in (("gc.auto", "0"), ("maintenance.auto", "false"), ("receive.denyDeletes", "true")):
        hub.run("config", key, value)
    (hub.git_dir / "info").mkdir(exist_ok=True)
    (hub.git_dir / "info" / "exclude").write_text(f"/{IGNORED_FOLDER}/\n")
    # Conflict markers are found again by their text, so they keep git's usual size; this file goes before all others.
    (hub.git_dir / "info" / "attributes").write_text("* -conflict-marker-size\n")


def _sync(folder: Path) -> None:
    """Wait until everything below `folder` is on disk; linked objects may be seconds old and not be there yet."""
    if sys.platform == "linux":
        handle = os.open(folder, os.O_RDONLY)
        try:
            ctypes.CDLL(None).syncfs(handle)
        finally:
            os.close(handle)
    else:
        os.sync()
