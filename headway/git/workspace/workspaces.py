"""All workspaces of a run: made, found again after a kill, set aside after a crash of the machine, removed."""

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from headway.domain.errors import HeadwayError, LeaseLost, TransientError
from headway.domain.ids import AgentId, Oid, key_of, run_of, short_hash
from headway.git.changes import meant, shown
from headway.git.hub import TRUNK, Hub
from headway.git.workspace import overlay, private_git, snapshot
from headway.git.workspace.base_layer import BaseLayer
from headway.git.workspace.base_layers import BaseLayers
from headway.git.workspace.checkout import Checkout, LayeredFiles, LooseFiles
from headway.git.workspace.checkout_pool import CheckoutPool
from headway.git.workspace.nested import keep_nested
from headway.git.workspace.notes import Owner, is_torn, load_owner, store_owner
from headway.git.workspace.scan import Scan
from headway.git.workspace.workspace import NotSaved, Workspace
from headway.git.workspace.workspace_backend import WorkspaceBackend, backend_for
from headway.system.boot import boot_id
from headway.system.files import delete, locked
from headway.system.process import Process
from headway.system.shortage import waited_for

_log = logging.getLogger(__name__)


class Workspaces:
    """All workspaces below `folder`, made from `hub`. `level` is how new ones are made; by default the best way."""

    def __init__(self, folder: Path, hub: Hub, level: WorkspaceBackend | None = None) -> None:
        self.folder = folder.absolute()
        self.hub = hub
        self.level = level or backend_for(self.folder)
        self.generations = BaseLayers(self.folder.with_name("generations"), hub)
        self.pool = CheckoutPool(self.folder.with_name("pool"), hub.repo)

    def open(self, task: AgentId, attempt: int, lease: int, at: Oid | None = None) -> Workspace:
        """The workspace of this attempt: as it was left, or a new one on the newest trunk commit (or on `at`).

        Files that were written before the machine's last boot are set aside, because a crash may have emptied them, and
        so are files whose notes are torn; then, or if they are gone, the newest snapshot of the attempt takes their
        place.

        Raises:
            LeaseLost: A newer holder works there.
            Shortage: The disk is full, or something else of the machine is used up.
        """
        home = self.home_of(task, attempt)
        with waited_for(f"the workspace of {task} cannot be made"), locked(_lock_of(home)) as lock:
            lost = False
            if home.exists():
                before = load_owner(home)
                if before is not None and before.lease > lease:
                    raise LeaseLost(f"the workspace of {task} has a newer holder")
                reopened = self._reopen(home, before, lease) if before is not None else None
                if reopened is not None:
                    return reopened
                self.set_aside(home)
                lost = True
            made = self._owned(task, attempt, lease, at, lost=lost)
            return self._create(home, *made, lock)

    def home_of(self, task: AgentId, attempt: int) -> Path:
        """The folder of an attempt's workspace."""
        return self.folder / run_of(task) / f"{key_of(task)}-{short_hash(task)}-{attempt}"

    def _reopen(self, home: Path, before: Owner, lease: int) -> Workspace | None:
        if before.boot_id != boot_id() or is_torn(home):
            return None
        checkout = self.checkout(home, before)
        if checkout is None or not checkout.ready():
            return None
        kept = before.model_copy(update={"lease": lease, "process": Process.own()})
        store_owner(home, kept)
        workspace = Workspace(home, self.hub, kept, checkout)
        with workspace.held():
            private_git.clear_locks(workspace.path / ".git")
        return workspace

    def checkout(self, home: Path, owner: Owner) -> Checkout | None:
        """The backend of a workspace's files; None when their layers are gone."""
        if owner.generation is None:
            return LooseFiles(home)
        generation = self.generations.get(owner.generation)
        return self._layered(home, generation) if generation is not None else None

    def _layered(self, home: Path, generation: BaseLayer) -> LayeredFiles:
        return LayeredFiles(home, _upper_of(home), generation)

    def _owned(self, task: AgentId, attempt: int, lease: int, at: Oid | None, *, lost: bool) -> tuple[Owner, Oid]:
        """The owner of a new workspace, and its first content."""
        owner = Owner(
            run=run_of(task),
            task=task,
            attempt=attempt,
            lease=lease,
            boot_id=boot_id(),
            rebuilt=lost,
            base=at or self.hub.tip(),
            process=Process.own(),
        )
        saved = snapshot.newest(self.hub, task)
        if saved is not None and saved.attempt == attempt:
            kept = owner.model_copy(update={"rebuilt": True, "rebuilt_from": saved.commit, "base": saved.base})
            return kept, saved.tree
        return owner, self.hub.repo.tree_of(owner.base)

    def _create(self, home: Path, owner: Owner, tree: Oid, lock: int) -> Workspace:
        made = home.with_name(f".{home.name}.new")
        # The process that made it died, because we hold the lock.
        _discard(made)
        try:
            return self._made(home, made, owner, tree, lock)
        except BaseException:
            # A name may never be asked for again, such as that of a check, and its mount would stay.
            with suppress(OSError):
                _discard(made)
                delete(_upper_of(home))
            raise

    def _made(self, home: Path, made: Path, owner: Owner, tree: Oid, lock: int) -> Workspace:
        if self.level == "clone":
            return self._finish(home, made, owner, tree, LooseFiles(made), lock=lock)
        with self.generations.in_use():
            generation = self.generations.first()
            owner = owner.model_copy(update={"generation": generation.facts.number})
            return self._finish(home, made, owner, tree, LayeredFiles(made, _upper_of(home), generation), lock=lock)

    def _finish(self, home: Path, made: Path, owner: Owner, tree: Oid, checkout: Checkout, *, lock: int) -> Workspace:
        if not (isinstance(checkout, LooseFiles) and self.pool.take(made, lock)):
            made.mkdir()
        workspace = Workspace(made, self.hub, owner, checkout)
        # Git holds the lock too: one that outlives a killed worker stops writing here before a newcomer clears its
        # files away.
        workspace.tree = replace(workspace.tree, keep=(lock,))
        base = self.hub.repo.tree_of(owner.base)
        fits = checkout.fill(workspace.tree, tree)
        if fits and isinstance(checkout, LayeredFiles) and checkout.generation.facts.commit != owner.base:
            # The same files at another commit, as after a revert: only the agent's git does not fit.
            checkout.index(workspace.tree)
            fits = False
        if not fits:
            workspace.stand_on(owner.base, clean=tree == base)
        checkout.rest(workspace.tree)
        store_owner(made, owner)
        made.rename(home)
        final = self.checkout(home, owner)
        if final is None:
            raise TransientError(f"the layers of {home} went away while it was made")
        return Workspace(home, self.hub, owner, final)

    def remove(self, workspace: Workspace) -> None:
        """Delete a workspace. Files of repositories inside it are kept on a ref of the task; see `keep_nested`.

        Raises:
            NotSaved: It holds work that is neither on the trunk nor in the task's newest snapshot.
            LeaseLost: A newer holder works there.
        """
        lock = _lock_of(workspace.home)
        with locked(lock):
            if workspace.home.exists():
                with workspace.held():
                    found = workspace.scan()
                    self._check_saved(workspace, found)
                    self._keep_nested(workspace, found)
                self._take_away(workspace)
            lock.unlink(missing_ok=True)
        self.reclaim()

    def discard(self, workspace: Workspace) -> None:
        """Delete a workspace that holds no agent's work.

        A failure is not raised, because the caller has a result to return: `headway gc` deletes the rest.
        """
        try:
            lock = _lock_of(workspace.home)
            with locked(lock):
                if workspace.home.exists():
                    self._take_away(workspace)
                lock.unlink(missing_ok=True)
        except (OSError, HeadwayError) as error:
            _log.warning("%s stays for now: %s", workspace.home, error)
        self.reclaim()

    def _take_away(self, workspace: Workspace) -> None:
        workspace.checkout.leave()
        gone = workspace.home.with_name(f".{workspace.home.name}.gone")
        _discard(gone)
        workspace.home.rename(gone)
        if not (isinstance(workspace.checkout, LooseFiles) and self.pool.give(gone)):
            _discard(gone)

    def _check_saved(self, workspace: Workspace, found: Scan) -> None:
        if found.unreadable:
            raise NotSaved(f"{workspace.path} holds files that a snapshot cannot hold: {', '.join(found.unreadable)}")
        base = workspace.base
        if found.tree == self.hub.repo.tree_of(base) and self.hub.is_ancestor(base, TRUNK):
            return
        saved = snapshot.newest(self.hub, workspace.task)
        if saved is None or saved.tree != found.tree:
            raise NotSaved(f"{workspace.path} holds work that is in no snapshot")

    def _keep_nested(self, workspace: Workspace, found: Scan) -> None:
        if not found.nested:
            return
        folders = tuple(os.fsencode(meant(name)) for name in found.nested)
        for name in keep_nested(self.hub, workspace.tree, workspace.task, folders):
            _log.warning("%s: the repository %s was too large to be kept", workspace.task, shown(os.fsdecode(name)))

    def set_aside(self, home: Path) -> Path:
        """Put a workspace that cannot be trusted where a new one does not find it; returns where."""
        overlay.unmount(home / overlay.MOUNT_POINT)
        if _upper_of(home).is_dir():
            _upper_of(home).rename(home / "upper")
        number = 1
        while (aside := home.with_name(f"{home.name}.stale-{number}")).exists():
            number += 1
        return home.rename(aside)

    def reclaim(self) -> list[int]:
        """Delete the base layers that no workspace lies on any more, but for the newest.

        Never fails its caller: the next one deletes what stays.
        """
        try:
            if len(self.generations.numbers()) <= 1:
                return []
            return self.generations.reclaim(self.used())
        except (OSError, HeadwayError, ValueError) as error:
            _log.warning("old generations in %s stay for now: %s", self.generations.folder, error)
            return []

    def used(self) -> set[int]:
        """The base layers that workspaces lie on."""
        owners = (load_owner(note.parent) for note in self.folder.glob("*/*/owner.json"))
        return {owner.generation for owner in owners if owner is not None and owner.generation is not None}


def _lock_of(home: Path) -> Path:
    """The lock under which a workspace is made, reopened and removed. It is removed with the workspace."""
    return home.with_name(f".{home.name}.lock")


def _upper_of(home: Path) -> Path:
    return home.with_name(f".{home.name}.upper")


def _discard(home: Path) -> None:
    """Delete the rest of a workspace."""
    overlay.unmount(home / overlay.MOUNT_POINT)
    delete(home)
