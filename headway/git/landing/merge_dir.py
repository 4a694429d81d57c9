"""The folder in which the holder of the trunk's lock has git merge: with the batch's objects, which the hub does not
have yet.

Git writes next to the hub, so nothing is synced for it and nothing half-written can get among the hub's objects. The
objects that it wrote are taken into the batch's pack.
"""

import os
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.changes import Change
from headway.git.landing.merging import Merged, merge_commits
from headway.git.landing.pack import Pack
from headway.git.objects import Reader, parsed
from headway.git.repo import Repo

LONGEST_S = 0.25
"""All landings wait for a merge under the trunk's lock. Its submitter makes a slower one without the lock."""

_LONGEST_CPU_S = 1

_PREFIX = "scratch-"


class MergeDir:
    """A folder for the merges of one batch, made for the first of them. Only for the holder of the trunk's lock."""

    def __init__(self, repo: Repo, pack: Pack, reader: Reader) -> None:
        self._repo = repo
        self._pack = pack
        self._reader = reader
        self._folder: Path | None = None
        self._taken: set[Path] = set()

    def merge(self, ours: Oid, theirs: Oid, changes: Sequence[Change]) -> Merged:
        """Merge two commits, of which any may be in the batch. The result is in the batch's pack.

        `changes` are the changes of `theirs` to its parent.

        Raises:
            GitError: It took too long, or failed.
        """
        folder = self._folder or self._make()
        self._pack.show(folder / "pack")
        merged = merge_commits(
            replace(self._repo, written=folder),
            self._reader,
            ours,
            theirs,
            wall_s=LONGEST_S,
            cpu_s=_LONGEST_CPU_S,
            changes=changes,
        )
        for path in folder.glob("[0-9a-f][0-9a-f]/*"):
            if path not in self._taken:
                self._taken.add(path)
                self._take(path)
        return merged

    def _take(self, path: Path) -> None:
        head, _, body = zlib.decompress(path.read_bytes()).partition(b"\0")
        oid = self._pack.add(head.split()[0].decode(), body)
        if head.startswith(b"tree"):
            self._reader.remember(oid, parsed(body, len(oid) // 2))

    def _make(self) -> Path:
        place = self._repo.git_dir / "landing"
        for left in place.glob(f"{_PREFIX}*"):
            # Its maker died, because we hold the lock.
            shutil.rmtree(left, ignore_errors=True)
        self._folder = place / f"{_PREFIX}{os.getpid()}"
        (self._folder / "pack").mkdir(parents=True)
        return self._folder

    def clear(self) -> None:
        """Forget this batch."""
        folder, self._folder = self._folder, None
        self._taken = set()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
