"""Base layers: cached checkouts of the trunk, frozen, that all workspaces of a run lie on.

Each is a layer over the ones before it: the files that changed since, and the outputs of `setup`. A layer that was
published is never edited. It is used only within the boot that wrote it, because a crash may have emptied its files.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from headway.domain.ids import Oid
from headway.git.hub import Hub
from headway.git.workspace.base_layer import FACTS, BaseLayer, BaseLayerFacts, discard
from headway.git.workspace.build_base_layer import Build
from headway.git.workspace.setup_cache import setup_key
from headway.system.boot import boot_id
from headway.system.files import locked

BEHIND = 25
"""Commits of the trunk after which the next workspace is worth a new base layer."""

Due = Literal["no", "behind", "setup"]
"""Reason for a new base layer: the trunk moved on (`behind`), or `setup` has not seen its inputs as they are now."""

_IN_USE = "in-use.flock"
_BUILDING = "building.flock"


class BaseLayers:
    """The base layers of one run, in `folder`. Safe to use from any number of processes at once."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder = folder
        self.hub = hub

    def newest(self) -> BaseLayer | None:
        """The one that new workspaces lie on, if there is any that can be used."""
        for number in reversed(self.numbers()):
            found = self.get(number)
            if found is not None:
                return found
        return None

    def get(self, number: int) -> BaseLayer | None:
        """A published base layer; None when it is gone, of another boot, or torn, which only another boot can be."""
        try:
            facts = BaseLayerFacts.model_validate_json((self._place(number) / FACTS).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        if facts.boot_id != boot_id():
            return None
        layers = tuple(self._place(below) / "layer" for below in facts.layers)
        return BaseLayer(self._place(number), facts, layers)

    def numbers(self) -> list[int]:
        """Of all that were ever published and are still there."""
        found = (place.name for place in self.folder.iterdir()) if self.folder.is_dir() else iter(())
        return sorted(int(name) for name in found if name.isdigit())

    def due(self, command: str | None) -> Due:
        """The reason to build a new base layer now, for workspaces that need `command` to have run."""
        newest = self.newest()
        if newest is None:
            return "behind" if command is None else "setup"
        tip = self.hub.tip()
        if command is not None:
            done = newest.facts.setup
            if done is None or done.key != setup_key(self.hub.repo, self.hub.repo.tree_of(tip), command):
                return "setup"
        if tip == newest.facts.commit:
            return "no"
        asked = ("rev-list", "--count", f"--max-count={BEHIND}", f"{newest.facts.commit}..{tip}")
        return "behind" if int(self.hub.repo.run(*asked).text) >= BEHIND else "no"

    def begin(self, first: Oid | None = None) -> Build | None:
        """Begin the next base layer, on the newest trunk commit; None while another process builds one.

        Args:
            first: The commit on which `setup` runs first: while it has run in no base layer, the next one is of that
                commit, and lies on no other.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / _BUILDING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        try:
            return self._begin(lock, first)
        except BaseException:
            os.close(lock)
            raise

    def _begin(self, lock: int, first: Oid | None) -> Build:
        # The process that began these died, because we hold the lock.
        for left in self.folder.glob("*.new"):
            discard(left)
        number = max(self.numbers(), default=0) + 1
        before, commit = self.newest(), None
        if first is not None and (before is None or before.facts.setup is None):
            before, commit = None, first
        return Build.begin(self._place(number), self.hub, before, number, lock, commit=commit)

    def first(self) -> BaseLayer:
        """The newest base layer; the first one is made here and now, without `setup`, if there is none."""
        while (newest := self.newest()) is None:
            build = self.begin()
            if build is None:
                with locked(self.folder / _BUILDING):
                    continue
            with build:
                build.publish(None)
        return newest

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep all base layers from being reclaimed; any number of holders at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / _IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    def unneeded(self, used: set[int]) -> list[int]:
        """Base layers that neither the newest one nor those in `used` have as a layer."""
        newest = self.newest()
        there = self.numbers()
        wanted = {newest.facts.number, *newest.facts.layers} if newest is not None else set()
        for number in used:
            found = self.get(number)
            wanted |= {number, *(found.facts.layers if found is not None else ())}
        return sorted(number for number in there if number not in wanted)

    def reclaim(self, used: set[int]) -> list[int]:
        """Delete unneeded base layers, unless a process opens a workspace now. `used` are those of open workspaces."""
        if not self.unneeded(used):
            return []
        lock = os.open(self.folder / _IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = self.unneeded(used)
            for number in gone:
                place = self._place(number)
                away = place.with_name(f"{number}.gone")
                discard(away)
                place.rename(away)
                discard(away)
        except BlockingIOError:
            return []
        else:
            return gone
        finally:
            os.close(lock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all processes from opening a workspace, after waiting for those that open one now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / _IN_USE):
            yield

    def half_built(self) -> list[Path]:
        """Leftovers of builders and reclaimers that were killed; empty while one is at work."""
        left = [*self.folder.glob("*.new"), *self.folder.glob("*.gone")]
        if not left:
            return []
        lock = os.open(self.folder / _BUILDING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        else:
            return sorted(left)
        finally:
            os.close(lock)

    def sweep(self) -> None:
        """Delete the leftovers that `half_built` lists; nothing while a build is under way."""
        build = self.begin()
        if build is not None:
            with build:
                for left in self.folder.glob("*.gone"):
                    discard(left)

    def _place(self, number: int) -> Path:
        return self.folder / str(number)
