"""Building a base layer: the trunk's files over the base layer before, then `setup`, then never changed again."""

import os
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from headway.domain.ids import Oid
from headway.git.hub import IGNORED_FOLDER, Hub
from headway.git.repo import Repo
from headway.git.workspace import overlay, private_git
from headway.git.workspace.base_layer import FACTS, BaseLayer, BaseLayerFacts, discard
from headway.git.workspace.layers import flatten
from headway.git.workspace.scan import Scan, differing, refresh, scan
from headway.git.workspace.setup_cache import SetupDone, setup_key
from headway.git.workspace.setup_changes import SetupChanges
from headway.git.workspace.tool_caches import below
from headway.git.workspace.written_files import catch_up
from headway.system.boot import boot_id
from headway.system.files import delete, write_whole
from headway.system.walk import walk

DEEPEST = 32
"""Layers after which a base layer is made of one again; each costs every look-up a little."""

_BACK_S = 2


@dataclass
class Build:
    """A base layer that is being made. Hold it with `with`: it is thrown away unless it is published.

    Attributes:
        path: The files, on the commit. The caller runs `setup` here.
    """

    place: Path
    path: Path
    hub: Hub
    commit: Oid
    tree: Oid
    before: BaseLayer | None
    number: int
    lock: int
    published: bool = field(default=False)

    @classmethod
    def begin(
        cls, place: Path, hub: Hub, before: BaseLayer | None, number: int, lock: int, *, commit: Oid | None = None
    ) -> Self:
        """Put the files of `commit` in place, by default the trunk's.

        `lock` is released at the end of the build; a failed begin leaves it.
        """
        made = place.with_name(f"{number}.new")
        (made / "layer").mkdir(parents=True)
        commit = commit or hub.tip()
        tree = hub.repo.tree_of(commit)
        path = made / "layer"
        if before is not None:
            (made / "scratch").mkdir()
            path = overlay.mount(before.layers, made / "layer", made / "scratch")
        build = cls(place, path, hub, commit, tree, before, number, lock)
        try:
            build._check_out()
        except BaseException:
            build._discard()  # the lock is still its caller's
            raise
        return build

    def _check_out(self) -> None:
        repo = self._repo(self.path)
        if self.before is None:
            repo.run("read-tree", "--reset", "-u", self.tree)
            _set_back(self.path)
            repo.run("update-index", "--index-version", "4")
            return
        assert repo.index is not None
        shutil.copyfile(self.before.index, repo.index)
        # Changes of `setup` to tracked files give way to the trunk's.
        catch_up(repo, self.before.facts.tree, self.tree)

    def __enter__(self) -> Self:
        """Return the build; its lock is held already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Throw the build away unless it was published."""
        self._throw_away()

    def tracked(self) -> frozenset[str]:
        """The paths of the commit whose files are built upon."""
        return self.hub.paths(self.tree)

    def still_warm(self, command: str) -> SetupDone | None:
        """The result of `setup` in an older layer, if its inputs have not changed since and it need not run again."""
        done = self.before.facts.setup if self.before is not None else None
        key = setup_key(self.hub.repo, self.tree, command)
        return done if done is not None and done.key == key and done.final else None

    @property
    def of_base(self) -> bool:
        """True if the files are the base's, on no older layer: no agent wrote any of them."""
        return self.before is None and self.tree == self.hub.repo.tree_of(self.hub.facts().base)

    def publish(self, setup: SetupDone | None) -> None:
        """Freeze the files. From now on new workspaces lie on them."""
        made = self.place.with_name(f"{self.number}.new")
        # `setup` ran code of the trunk, and so code of agents: nothing of the git directory is kept.
        git_dir = self.path / ".git"
        _clear(git_dir)
        private_git.make(git_dir, self.hub.folder, self.hub.facts().author, IGNORED_FOLDER, layered=True)
        write_whole(git_dir / "HEAD", f"{self.commit}\n".encode(), synced=False)
        overlay.unmount(made / "scratch" / overlay.MOUNT_POINT)
        older = self.before.layers if self.before is not None else ()
        numbers = self.before.facts.layers if self.before is not None else ()
        if len(older) + 1 > DEEPEST:
            flatten([made / "layer", *older], made / "flat")
            delete(made / "layer")
            (made / "flat").rename(made / "layer")
            older, numbers = (), ()
        if self.before is not None or setup is not None:
            # Git reads a file again that is as young as its index, and every workspace would.
            _wait_for_the_next_second()
        left = self._index(made, [made / "layer", *older])
        facts = BaseLayerFacts(
            number=self.number,
            commit=self.commit,
            tree=self.tree,
            layers=(self.number, *numbers),
            boot_id=boot_id(),
            setup=setup,
            made=left,
        )
        write_whole(made / FACTS, facts.model_dump_json().encode(), synced=False)
        delete(made / "scratch")
        made.rename(self.place)
        self.published = True

    def _index(self, made: Path, layers: list[Path]) -> SetupChanges:
        """Have the index know the files as an overlay over the frozen layers shows them.

        Returns the changes of `setup` among them.
        """
        look = made / "look"
        (look / "upper").mkdir(parents=True)
        (look / "scratch").mkdir()
        at = overlay.mount(layers, look / "upper", look / "scratch")
        try:
            seen = self._repo(at)
            refresh(seen)
            own = frozenset({IGNORED_FOLDER.encode()})
            stray = sorted({name.rstrip(b"/") for name in set().union(*differing(seen)) if not below(name, own)})
            found = Scan(self.tree, self.tree)
            if stray:
                index = Path(shutil.copy2(made / "index", look / "index"))
                found = scan(replace(seen, index=index), self.tree, IGNORED_FOLDER, stray)
        finally:
            overlay.unmount(at)
        write_whole(made / "stray", b"\0".join(stray), synced=False)
        shutil.copyfile(made / "index", made / "layer" / ".git" / "index")
        delete(look)
        return SetupChanges(before=self.tree, after=found.files, nested=found.nested, unreadable=found.unreadable)

    def _repo(self, work_tree: Path) -> Repo:
        return Repo(self.hub.folder, work_tree, self.place.with_name(f"{self.number}.new") / "index", (self.lock,))

    def _throw_away(self) -> None:
        try:
            self._discard()
        finally:
            os.close(self.lock)

    def _discard(self) -> None:
        if not self.published:
            discard(self.place.with_name(f"{self.number}.new"))


def _set_back(folder: Path) -> None:
    """Date fresh files back a little: git reads a file again that is as young as its index."""
    then = time.time() - _BACK_S
    for place in walk(folder):
        for name in place.names:
            os.utime(name, (then, then), dir_fd=place.fd, follow_symlinks=False)


def _wait_for_the_next_second() -> None:
    time.sleep(1.0 - time.time() % 1.0 + 0.01)


def _clear(git_dir: Path) -> None:
    if git_dir.is_dir() and not git_dir.is_symlink():
        delete(git_dir)
    else:
        git_dir.unlink(missing_ok=True)
