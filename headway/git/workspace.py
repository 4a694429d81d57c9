"""Workspaces: one agent's own copy of the repository, with a git directory that shares no lock with others."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from headway.domain.errors import HeadwayError, LeaseLost
from headway.domain.ids import AgentId, Oid, key_of, run_of, short_hash
from headway.git import private_git, snapshot
from headway.git.changes import Changes, Scan, changes_between, scan
from headway.git.files import locked
from headway.git.hub import IGNORED_FOLDER, TRUNK, Hub
from headway.git.repo import GitError, Repo
from headway.git.standing import (
    Move,
    Owner,
    Standing,
    load_owner,
    load_standing,
    store_owner,
    store_standing,
)

_OBSTRUCTED = ("not uptodate", "would be overwritten", "would be removed", "would lose untracked files")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What tells this boot of the machine from every other."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else str(int(psutil.boot_time()))


class NotSaved(HeadwayError):
    """A workspace holds work that is neither on the trunk nor in a snapshot, so it is not removed."""


class Workspace:
    """The files that an agent works on, and what the harness knows of them.

    Attributes:
        path: The work tree, which is all that the agent sees of it.
        rebuilt: The files took the place of ones that a crash of the machine made doubtful; `rebuilt_from` is the
            snapshot they come from, or None when there was none. Stays set for the life of the workspace.
    """

    def __init__(self, home: Path, hub: Hub, owner: Owner) -> None:
        self.home = home
        self.path = home / "files"
        self.hub = hub
        self.task = owner.task
        self.attempt = owner.attempt
        self.lease = owner.lease
        self.rebuilt = owner.rebuilt
        self.rebuilt_from = owner.rebuilt_from
        self.tree = Repo(hub.folder, self.path, home / "index")

    @property
    def base(self) -> Oid:
        """The trunk commit on which the files stand."""
        standing = self.standing()
        return standing.moving.commit if standing.moving else standing.base

    def changes(self) -> Changes:
        """What differs from the base: also untracked files, never ignored ones or the harness's folder."""
        with self.held():
            return changes_between(self.hub.repo, self.base, self.scan())

    def diffstat(self) -> str:
        """The same as `git diff --stat` tells it; empty without changes."""
        with self.held():
            return self.hub.repo.run("diff-tree", "--stat=100", "-r", self.base, self.scan().tree).text

    def is_dirty(self) -> bool:
        """Whether anything differs from the base."""
        with self.held():
            found = self.scan()
            return bool(found.nested or found.unreadable) or found.tree != self.hub.repo.tree_of(self.base)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the harness's notes and index of this workspace for oneself; not to be nested.

        Raises:
            LeaseLost: A newer holder works here.
        """
        with locked(self.home / "lock") as lock:
            # Our git processes hold the lock too: one that outlives a killed worker finishes before anybody goes on.
            self.tree = replace(self.tree, keep=(lock,))
            if load_owner(self.home).lease > self.lease:
                raise LeaseLost(f"the workspace of {self.task} has a newer holder")
            (self.home / "index.lock").unlink(missing_ok=True)
            try:
                self._finish_move()
                yield
            finally:
                self.tree = replace(self.tree, keep=())

    def scan(self) -> Scan:
        """The files as a tree in the hub. Needs `held`, as everything below does."""
        return scan(self.tree, IGNORED_FOLDER)

    def standing(self) -> Standing:
        """The harness's notes."""
        return load_standing(self.home)

    def note(self, standing: Standing) -> None:
        """Replace the harness's notes."""
        store_standing(self.home, standing)

    def move(self, now: Oid, move: Move, *, over_ignored: bool = False) -> bool:
        """Turn the files from the scanned tree `now` into those of `move`, and stand on its commit.

        Returns:
            False, with nothing done, when files changed since the scan, or ignored ones are in the way; those are
            overwritten with `over_ignored`.
        """
        before = self.standing()
        self.note(before.model_copy(update={"moving": move}))
        try:
            self.tree.run("read-tree", *(["--reset", "-u"] if over_ignored else ["-m", "-u", now]), move.tree)
        except GitError as error:
            if any(said in error.err for said in _OBSTRUCTED):
                self.note(before)
                return False
            # It may have got half way, for example to a folder that the agent made read-only.
            self._finish_move()
            return True
        self._arrive(move)
        return True

    def _finish_move(self) -> None:
        """Finish a move that was interrupted; nobody has worked here since, because commands die with their worker."""
        move = self.standing().moving
        if move is None:
            return
        finish = ("read-tree", "--reset", "-u", move.tree)
        if self.tree.run(*finish, ok=None).code:
            # The agent may have taken away its own right to write in a folder.
            _make_writable(self.path)
            self.tree.run(*finish)
        self._arrive(move)

    def _arrive(self, move: Move) -> None:
        self.stand_on(move.commit, clean=self.hub.repo.tree_of(move.commit) == move.tree)
        self.note(Standing(base=move.commit, conflicted=move.conflicted, rounds=move.rounds, last=move.last))

    def stand_on(self, commit: Oid, *, clean: bool) -> None:
        """Put the agent's own git directory on `commit`; one that the agent broke is made anew."""
        git_dir = self.path / ".git"
        if not git_dir.is_symlink() and git_dir.is_dir():
            try:
                private_git.stand_on(git_dir, commit, self.tree, self.home, clean=clean)
            except OSError as broken:
                if broken.errno == errno.ENOSPC:
                    raise
            else:
                return
        if os.path.lexists(git_dir):
            git_dir.rename(self.home / f"broken-{os.urandom(4).hex()}.git")
        private_git.make(git_dir, self.hub.folder, self.hub.facts().author, IGNORED_FOLDER)
        private_git.stand_on(git_dir, commit, self.tree, self.home, clean=clean)


class Workspaces:
    """All workspaces below `folder`, made from `hub`. `level` is how they are made."""

    level = "clone"

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder = folder.absolute()
        self.hub = hub

    def open(self, task: AgentId, attempt: int, lease: int, at: Oid | None = None) -> Workspace:
        """The workspace of this attempt: as it was left, or a new one on the newest trunk commit (or on `at`).

        Files that were written before the machine's last boot are set aside, because a crash may have emptied them;
        then, or if they are gone, the newest snapshot of the attempt takes their place.

        Raises:
            LeaseLost: A newer holder works there.
        """
        run, key = run_of(task), key_of(task)
        name = f"{key}-{short_hash(task)}-{attempt}"
        home = self.folder / run / name
        owner = Owner(run=run, task=task, attempt=attempt, lease=lease, boot_id=boot_id())
        with locked(self.folder / run / f".{name}.lock"):
            lost = False
            if home.exists():
                before = load_owner(home)
                if before.lease > lease:
                    raise LeaseLost(f"the workspace of {task} has a newer holder")
                if before.boot_id == owner.boot_id:
                    return self._reopen(home, owner, before)
                _set_aside(home)
                lost = True
            return self._create(home, owner, at, lost=lost)

    def _reopen(self, home: Path, owner: Owner, before: Owner) -> Workspace:
        kept = owner.model_copy(update={"rebuilt": before.rebuilt, "rebuilt_from": before.rebuilt_from})
        store_owner(home, kept)
        workspace = Workspace(home, self.hub, kept)
        with workspace.held():
            private_git.clear_locks(workspace.path / ".git")
        return workspace

    def _create(self, home: Path, owner: Owner, at: Oid | None, *, lost: bool) -> Workspace:
        saved = snapshot.newest(self.hub, owner.task)
        if saved is not None and saved.attempt == owner.attempt:
            owner = owner.model_copy(update={"rebuilt": True, "rebuilt_from": saved.commit})
            base, tree = saved.base, saved.tree
        else:
            owner = owner.model_copy(update={"rebuilt": lost})
            base = at or self.hub.tip()
            tree = self.hub.repo.tree_of(base)
        made = home.with_name(f".{home.name}.new")
        # Whoever made it died, because we hold the lock.
        _delete(made)
        made.mkdir()
        workspace = Workspace(made, self.hub, owner)
        workspace.path.mkdir()
        workspace.tree.run("read-tree", "--reset", "-u", tree)
        workspace.stand_on(base, clean=tree == self.hub.repo.tree_of(base))
        store_owner(made, owner)
        store_standing(made, Standing(base=base))
        made.rename(home)
        return Workspace(home, self.hub, owner)

    def remove(self, workspace: Workspace) -> None:
        """Delete a workspace.

        Raises:
            NotSaved: It holds work that is neither on the trunk nor in the task's newest snapshot.
            LeaseLost: A newer holder works there.
        """
        with locked(self.folder / run_of(workspace.task) / f".{workspace.home.name}.lock"):
            if not workspace.home.exists():
                return
            with workspace.held():
                found = workspace.scan()
                self._check_saved(workspace, found)
            gone = workspace.home.with_name(f".{workspace.home.name}.gone")
            _delete(gone)
            workspace.home.rename(gone)
            _delete(gone)

    def _check_saved(self, workspace: Workspace, found: Scan) -> None:
        others = (*found.nested, *found.unreadable)
        if others:
            raise NotSaved(f"{workspace.path} holds what a snapshot cannot: {', '.join(others)}")
        base = workspace.base
        if found.tree == self.hub.repo.tree_of(base) and self.hub.is_ancestor(base, TRUNK):
            return
        saved = snapshot.newest(self.hub, workspace.task)
        if saved is None or saved.tree != found.tree:
            raise NotSaved(f"{workspace.path} holds work that is in no snapshot")


def _set_aside(home: Path) -> None:
    number = 1
    while (aside := home.with_name(f"{home.name}.stale-{number}")).exists():
        number += 1
    home.rename(aside)


def _delete(folder: Path) -> None:
    """Delete a tree, also where an agent left folders that may not be written."""
    if folder.exists():
        _make_writable(folder)
        shutil.rmtree(folder)


def _make_writable(folder: Path) -> None:
    for place, below, _ in os.walk(folder):
        for name in below:
            found = Path(place) / name
            if not found.is_symlink():
                found.chmod(found.stat().st_mode | 0o700)
