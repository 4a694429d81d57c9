"""A workspace: one agent's own copy of the repository, with a git directory that shares no lock with others."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from headway.domain.errors import HeadwayError, LeaseLost
from headway.domain.ids import Oid
from headway.git.attributes import LARGEST
from headway.git.changes import Changes, changed_paths, changes_between
from headway.git.git_process import GitError
from headway.git.hub import IGNORED_FOLDER, Hub
from headway.git.repo import Repo
from headway.git.workspace import private_git
from headway.git.workspace.checkout import Checkout, LayeredFiles
from headway.git.workspace.notes import Move, Owner, WorkspaceNotes, load_notes, load_owner, store_notes, torn
from headway.git.workspace.rules_files import RulesSetAside, set_aside
from headway.git.workspace.scan import Scan, move_files
from headway.git.workspace.setup_cache import SetupDone, setup_key
from headway.git.workspace.setup_changes import (
    SetupChanges,
    left_by_setup,
    load_setup_changes,
    store_setup_changes,
    without,
)
from headway.git.workspace.submodule_files import in_submodules
from headway.git.workspace.written_files import renew
from headway.system.files import locked, make_writable
from headway.system.shortage import lacking, waited_for

_LOOKS = 3
_OBSTRUCTED = ("not uptodate", "would be overwritten", "would be removed", "would lose untracked files")


class NotSaved(HeadwayError):
    """A workspace holds work that is neither on the trunk nor in a snapshot, so it is not removed."""


class Workspace:
    """The files that an agent works on, with the harness's notes of them.

    Attributes:
        path: The work tree; the agent sees nothing else of it.
        rebuilt: The files took the place of ones that a crash of the machine made doubtful; `rebuilt_from` is the
            snapshot they come from, or None when there was none. Stays set for the life of the workspace.
        first_base: The trunk commit on which the files stood at first.
        caches: Folders of language tools that the newest scan left out: new files in them are no change, and cannot
            land. Empty before the first scan.
    """

    def __init__(self, home: Path, hub: Hub, owner: Owner, checkout: Checkout) -> None:
        self.home = home
        self.path = checkout.path
        self.hub = hub
        self.checkout = checkout
        self.task = owner.task
        self.attempt = owner.attempt
        self.lease = owner.lease
        self.rebuilt = owner.rebuilt
        self.rebuilt_from = owner.rebuilt_from
        self.first_base = owner.base
        self.caches: tuple[str, ...] = ()
        self.tree = Repo(hub.folder, self.path, home / "index")

    @property
    def base(self) -> Oid:
        """The trunk commit on which the files stand."""
        standing = self.notes()
        return standing.moving.commit if standing.moving else standing.base

    def changes(self) -> Changes:
        """The agent's changes against the base, untracked files included; never ignored or the harness's."""
        with self.held():
            found = self.scan()
            differ = changes_between(self.hub.repo, self.base, found.tree)
            return replace(differ, nested=found.nested, unreadable=found.unreadable)

    def tracked(self) -> frozenset[str]:
        """The paths of the commit on which the workspace stands."""
        return self.hub.paths(self.base)

    def in_submodules(self) -> tuple[str, ...]:
        """Files that lie in a submodule, a repository of its own: they are no changes, and cannot land."""
        return in_submodules(self.hub.repo, self.hub.rules(), self.base, self.path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the harness's notes and index of this workspace for oneself; not to be nested.

        Raises:
            LeaseLost: A newer holder works here.
            Shortage: The disk is full, or something else of the machine is used up.
        """
        with waited_for(f"the workspace of {self.task}"), locked(self.home / "lock") as lock:
            # Our git processes hold the lock too: one that outlives a killed worker finishes before the next holder
            # begins.
            self.tree = replace(self.tree, keep=(lock,))
            owner = load_owner(self.home)
            if owner is None:
                raise torn(self.home)
            if owner.lease > self.lease:
                raise LeaseLost(f"the workspace of {self.task} has a newer holder")
            (self.home / "index.lock").unlink(missing_ok=True)
            _enter(self.path)
            try:
                self._finish_move()
                yield
            finally:
                self.tree = replace(self.tree, keep=())
                if self.notes().moving is None:
                    self.checkout.rest(self.tree)

    def scan(self) -> Scan:
        """The files as trees in the hub. Needs `held`, as everything below does."""
        base = self.hub.repo.tree_of(self.base)
        found = self._look(base)
        self.caches = found.caches
        return without(self.hub.repo, base, found, self.made())

    def _look(self, base: Oid) -> Scan:
        for _ in range(_LOOKS):
            # A look may find rules files that keep git from looking, and has to begin again without them.
            with suppress(RulesSetAside):
                return self.checkout.scan(self.tree, base)
        return self.checkout.scan(self.tree, base)

    def made(self) -> SetupChanges | None:
        """Changes that `setup` left in the files, here or in the layers that they lie on."""
        return load_setup_changes(self.home) or self.checkout.made

    def note_setup_changes(self) -> None:
        """Note all present differences as changes of `setup`. It has run here, and no agent has worked here yet."""
        repo = self.hub.repo
        base = repo.tree_of(self.base)
        filled = repo.tree_of(self.rebuilt_from) if self.rebuilt_from is not None else base
        store_setup_changes(self.home, left_by_setup(repo, base, filled, self._look(base)))

    def setup_done(self, command: str) -> SetupDone | None:
        """Result of the user's `setup` in the layers that the files lie on; None when it has to run here."""
        if not isinstance(self.checkout, LayeredFiles):
            return None
        done = self.checkout.generation.facts.setup
        if done is None:
            return None
        return done if done.key == setup_key(self.hub.repo, self.hub.repo.tree_of(self.base), command) else None

    def notes(self) -> WorkspaceNotes:
        """The harness's notes."""
        return load_notes(self.home)

    def note(self, standing: WorkspaceNotes) -> None:
        """Replace the harness's notes."""
        store_notes(self.home, standing)

    def move(self, now: Scan, move: Move, *, over_ignored: bool = False) -> bool:
        """Turn the files from those of the scan `now` into those of `move`, and stand on its commit.

        Returns:
            False, with nothing done, when files changed since the scan, or ignored ones are in the way; those are
            overwritten with `over_ignored`.
        """
        before = self.notes()
        self.note(before.model_copy(update={"moving": move}))
        try:
            if over_ignored:
                self.tree.run("read-tree", "--reset", "-u", move.tree)
            else:
                move_files(self.tree, now, move.tree)
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
        """Finish a move that was interrupted. No command has run here since, because commands die with their worker."""
        move = self.notes().moving
        if move is None:
            return
        finish = ("read-tree", "--reset", "-u", move.tree)
        try:
            self.tree.run(*finish)
        except GitError as error:
            if error.short:
                raise
            # The agent may have taken away its own right to write in a folder, or have left rules of absurd length.
            make_writable(self.path)
            set_aside(self.path, LARGEST if error.starved else None)
            self.tree.run(*finish)
        self._arrive(move)

    def _arrive(self, move: Move) -> None:
        before, now = (self.hub.repo.tree_of(commit) for commit in (self.notes().base, move.commit))
        renew(self.tree, before, now, changed_paths(self.tree, now, move.tree))
        self.stand_on(move.commit, clean=self.hub.repo.tree_of(move.commit) == move.tree)
        self.note(WorkspaceNotes(base=move.commit, conflicted=move.conflicted, rounds=move.rounds, last=move.last))

    def stand_on(self, commit: Oid, *, clean: bool) -> None:
        """Put the agent's own git directory on `commit`; one that the agent broke is made anew."""
        git_dir = self.path / ".git"
        if not git_dir.is_symlink() and git_dir.is_dir():
            try:
                private_git.stand_on(git_dir, commit, self.tree, self.home, clean=clean)
            except OSError as broken:
                if lacking(broken) is not None:
                    raise
            else:
                return
        if os.path.lexists(git_dir):
            private_git.set_aside(git_dir, self.home)
        layered = isinstance(self.checkout, LayeredFiles)
        private_git.make(git_dir, self.hub.folder, self.hub.facts().author, IGNORED_FOLDER, layered=layered)
        private_git.stand_on(git_dir, commit, self.tree, self.home, clean=clean)


def _enter(top: Path) -> None:
    """Let us into the top of a workspace, where the agent has taken that right away."""
    mode = stat.S_IMODE(top.stat().st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        top.chmod(mode | stat.S_IRWXU)
