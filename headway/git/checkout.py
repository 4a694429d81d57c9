"""The files of one workspace: how they come about, how a change of theirs is found, how they go."""

import shutil
from pathlib import Path
from typing import Protocol

from headway.domain.ids import Oid
from headway.git import overlay
from headway.git.building import catch_up
from headway.git.changes import Scan, scan
from headway.git.generations import Generation
from headway.git.hub import IGNORED_FOLDER
from headway.git.repo import Repo
from headway.git.upper import EVERYTHING, changed_names
from headway.system.files import delete

_ONE_BY_ONE = 200
"""Names up to which git is asked for each; for more it looks at all files, which costs the same then."""

_NEVER = frozenset({b".git", IGNORED_FOLDER.encode()})


class Checkout(Protocol):
    """The files of a workspace, at `path`. `repo` is the hub with these files and the harness's index of them."""

    @property
    def path(self) -> Path: ...

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Put the files of `tree` there, where nothing is; whether the agent's git directory fits them already."""
        ...

    def ready(self) -> bool:
        """Make the files reachable that were left here; False when they are gone."""
        ...

    def scan(self, repo: Repo, base: Oid) -> Scan:
        """The files as a tree. What `base`, a tree, holds is never ignored. The index is as the files are then."""
        ...

    def rest(self) -> None:
        """Let go of what only makes the next call faster."""
        ...

    def leave(self) -> None:
        """Make the files part of the workspace's folder and nothing else, so that it may be moved and deleted."""
        ...


class LooseFiles:
    """Files that lie by themselves, each with a block of the disk of its own."""

    def __init__(self, home: Path) -> None:
        self.path = home / "files"

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Write them all, over what is left of another workspace, if anything is."""
        self.path.mkdir(exist_ok=True)
        repo.run("read-tree", "--reset", "-u", tree)
        return False

    def ready(self) -> bool:
        """They always are."""
        return self.path.is_dir()

    def scan(self, repo: Repo, base: Oid) -> Scan:  # noqa: ARG002 - the index knows
        """By the index, which stays: it knows all files by their stat data."""
        return scan(repo, IGNORED_FOLDER)

    def rest(self) -> None:
        """Nothing: the index is all there is."""

    def leave(self) -> None:
        """Nothing: they are part of it."""


class LayeredFiles:
    """Files of an overlay: the layers of a generation, and over them an upper that holds what differs.

    The upper lies beside the workspace's folder, because the kernel wants it outside of the folder that it works in.
    """

    def __init__(self, home: Path, upper: Path, generation: Generation) -> None:
        self.home = home
        self.path = home / overlay.MOUNT_POINT
        self.upper = upper
        self.generation = generation

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Mount them, and write what the generation does not hold."""
        delete(self.upper)
        self.upper.mkdir()
        self._mount()
        stands = self.generation.facts.tree
        if tree == stands:
            return True
        self.index(repo)
        catch_up(repo, stands, tree)
        return False

    def ready(self) -> bool:
        """Mount them again, where the mount is gone without the machine having been: a container was started anew."""
        if not self.upper.is_dir():
            return False
        if not overlay.is_mounted(self.path):
            self._mount()
        return True

    def _mount(self) -> None:
        overlay.mount(self.generation.layers, self.upper, self.home)

    def scan(self, repo: Repo, base: Oid) -> Scan:
        """By the upper, which holds what differs from the generation, and mostly nothing else."""
        stands = self.generation.facts.tree
        changed = changed_names(self.upper, self.generation.layers, _NEVER) | self.generation.stray()
        self.index(repo)
        if base != stands:
            repo.run("read-tree", "-i", "-m", stands, base)
        if not changed and base == stands:
            return Scan(base, (), ())
        return scan(repo, IGNORED_FOLDER, () if _too_many(changed) else changed)

    def index(self, repo: Repo) -> None:
        """Have the index of the generation for what comes next."""
        assert repo.index is not None
        shutil.copyfile(self.generation.index, repo.index)

    def rest(self) -> None:
        """Forget the index: the generation's, and the upper, tell all that is in it."""
        (self.home / "index").unlink(missing_ok=True)

    def leave(self) -> None:
        """Unmount, and take the upper in."""
        overlay.unmount(self.path)
        if self.upper.is_dir():
            self.upper.rename(self.home / "upper")


def _too_many(changed: set[bytes]) -> bool:
    return len(changed) > _ONE_BY_ONE or EVERYTHING in changed
