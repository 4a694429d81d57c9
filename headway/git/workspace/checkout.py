"""The files of one workspace: filling them, finding the agent's changes in them, removing them."""

import shutil
import time
from pathlib import Path
from typing import Protocol

from headway.domain.ids import Oid
from headway.git.changes import changed_paths
from headway.git.hub import IGNORED_FOLDER
from headway.git.repo import Repo
from headway.git.workspace import overlay
from headway.git.workspace.base_layer import BaseLayer
from headway.git.workspace.overlay_diff import EVERYTHING, changed_names
from headway.git.workspace.rules_files import patiently
from headway.git.workspace.scan import Scan, scan
from headway.git.workspace.setup_changes import SetupChanges
from headway.git.workspace.written_files import catch_up, renew
from headway.system.files import delete, write_whole

_ONE_BY_ONE = 200
"""Names up to which git is asked for each; for more it looks at all files, which costs the same then."""

CHECKED_OUT = "checked-out"
"""The index of loose files, in the folder of their workspace. It knows those by stat data that a checkout wrote."""

_VERSION_ENDS = 8
_SETTLED = 4
"""The version of an index that is younger than all files of its checkout; git writes a new one in version 2."""

_NEVER = frozenset({b".git", IGNORED_FOLDER.encode()})


class Checkout(Protocol):
    """The files of a workspace, at `path`. `repo` is the hub with these files and an index for the time of the call.

    The index that knows files by stat data gets those where files are checked out, and never by a scan.
    """

    @property
    def path(self) -> Path: ...

    @property
    def made(self) -> SetupChanges | None:
        """Changes that `setup` had left in the files before they were this workspace's."""
        ...

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Put the files of `tree` there, where nothing is; whether the agent's git directory fits them already."""
        ...

    def ready(self) -> bool:
        """Make the files reachable that were left here; False when they are gone."""
        ...

    def scan(self, repo: Repo, base: Oid) -> Scan:
        """Compare the files with the tree `base`. The index of `repo` holds them then, each with its stat data."""
        ...

    def rest(self, repo: Repo) -> None:
        """Release resources that only make the next call faster."""
        ...

    def leave(self) -> None:
        """Make the files part of the workspace's folder and nothing else, so that it may be moved and deleted."""
        ...


class LooseFiles:
    """Files that lie by themselves, each with a block of the disk of its own."""

    made: SetupChanges | None = None

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "files"
        self._checked_out = home / CHECKED_OUT
        self._tree = home / f"{CHECKED_OUT}-tree"

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Write all files, over the rest of another workspace if there is one."""
        assert repo.index is not None
        self.path.mkdir(exist_ok=True)
        before = None
        if self._checked_out.exists():
            self._checked_out.replace(repo.index)
            before = repo.run("write-tree").oid
        repo.run("read-tree", "--reset", "-u", tree)
        if before is not None:
            renew(repo, before, tree)
        self._tree.unlink(missing_ok=True)
        shutil.copy2(repo.index, self._checked_out)
        write_whole(self._tree, tree.encode(), synced=False)
        return False

    def ready(self) -> bool:
        """True if the folder is there: loose files need no mount."""
        return self.path.is_dir()

    def scan(self, repo: Repo, base: Oid) -> Scan:
        """By looking at every file."""
        assert repo.index is not None
        self._settle(repo)
        self._bring(repo, base)
        shutil.copy2(self._checked_out, repo.index)
        return scan(repo, base, IGNORED_FOLDER)

    def _bring(self, repo: Repo, base: Oid) -> None:
        """Have the index of the checkout hold `base`. Files that are another content there lose their stat data."""
        if base == self._stands():
            return
        assert repo.index is not None
        shutil.copy2(self._checked_out, repo.index)
        patiently(repo, "read-tree", "-i", "-m", base)
        self._tree.unlink(missing_ok=True)
        repo.index.replace(self._checked_out)
        write_whole(self._tree, base.encode(), synced=False)

    def _stands(self) -> str:
        """The tree in the index of the checkout; empty where no note of it is."""
        try:
            return self._tree.read_text()
        except FileNotFoundError:
            return ""

    def _settle(self, repo: Repo) -> None:
        """Have the index be older than no file: git reads each file again that is as young as its index.

        Git looks at those files once more when it writes the index, and forgets the stat data of those that differ.
        """
        with self._checked_out.open("rb") as file:
            if file.read(_VERSION_ENDS)[-1] == _SETTLED:
                return
        if int(time.time()) <= int(self._checked_out.stat().st_mtime):
            return
        assert repo.index is not None
        shutil.copy2(self._checked_out, repo.index)
        patiently(repo, "update-index", "--index-version", str(_SETTLED))
        repo.index.replace(self._checked_out)

    def rest(self, repo: Repo) -> None:
        """Forget the index, which the one of the checkout gives again."""
        _forget(repo)

    def leave(self) -> None:
        """Nothing: they are part of it."""


class LayeredFiles:
    """Files of an overlay: the layers of a base layer, and over them an upper that holds the differences.

    The upper lies next to the workspace's folder, because the kernel wants it outside of the folder that it works in.
    """

    def __init__(self, home: Path, upper: Path, generation: BaseLayer) -> None:
        self.home = home
        self.path = home / overlay.MOUNT_POINT
        self.upper = upper
        self.generation = generation
        self.made = generation.facts.made

    def fill(self, repo: Repo, tree: Oid) -> bool:
        """Mount the files, and write those that the base layer does not hold."""
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
        """Compare the paths that may differ from the base: the upper's, those that `setup` left, and those in which the
        base is not the base layer's.

        The last are files that lie in the upper alone: when they are deleted, nothing of them is there.
        """
        stands = self.generation.facts.tree
        changed = changed_names(self.upper, self.generation.layers, _NEVER) | self.generation.stray()
        changed |= changed_paths(repo, stands, base)
        self.index(repo)
        if base != stands:
            patiently(repo, "read-tree", "-i", "-m", base)
        if not changed:
            return Scan(base, base)
        return scan(repo, base, IGNORED_FOLDER, () if _too_many(changed) else changed)

    def index(self, repo: Repo) -> None:
        """Give the workspace the index of the base layer, for the next commands."""
        assert repo.index is not None
        shutil.copyfile(self.generation.index, repo.index)

    def rest(self, repo: Repo) -> None:
        """Forget the index: the base layer's, and the upper, tell all that is in it."""
        _forget(repo)

    def leave(self) -> None:
        """Unmount, and take the upper in."""
        overlay.unmount(self.path)
        if self.upper.is_dir():
            self.upper.rename(self.home / "upper")


def _forget(repo: Repo) -> None:
    assert repo.index is not None
    repo.index.unlink(missing_ok=True)


def _too_many(changed: set[bytes]) -> bool:
    return len(changed) > _ONE_BY_ONE or EVERYTHING in changed
