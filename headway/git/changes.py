"""Differences between two trees, a tree with other entries, and the text that an agent reads of a difference."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.domain.ids import Oid
from headway.git.repo import Repo

SUBMODULE = "160000"
NO_MODE = "000000"
REGULAR = frozenset({"100644", "100755"})


def with_nul(paths: Iterable[bytes]) -> bytes:
    """Sorted paths as git's `-z --stdin` reads them: a NUL ends each."""
    return b"".join(path + b"\0" for path in sorted(paths))


@dataclass(frozen=True)
class Changes:
    """Paths that differ from the trunk commit a workspace stands on; a rename is a deletion and an addition.

    Attributes:
        nested: Folders with a repository of their own, which are no part of this one and cannot land.
        unreadable: Files that git cannot take: they cannot be read, or have a name that it refuses.
    """

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All that can land, sorted."""
        return tuple(sorted((*self.added, *self.modified, *self.deleted)))


@dataclass(frozen=True)
class Entry:
    """One path that differs between two trees."""

    path: str
    old_mode: str
    mode: str
    old_oid: Oid
    oid: Oid
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """A submission's change to one path. `old` and `new` are mode and object id in hex; None for no such path."""

    path: bytes
    old: tuple[str, Oid] | None
    new: tuple[str, Oid] | None


def shown(path: str) -> str:
    """A path as text that any JSON can carry: bytes that are no UTF-8 are written as escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def meant(path: str) -> str:
    """The path that `shown` shows so."""
    raw = re.sub(
        rb"\\x([0-9a-f]{2})", lambda escape: bytes([int(escape[1], 16)]), path.encode(errors="surrogateescape")
    )
    return os.fsdecode(raw)


def entries(repo: Repo, old: str, new: str) -> list[Entry]:
    """Entries that differ between two trees or commits; a rename is a deletion and an addition."""
    said = repo.run("diff-tree", "-r", "-z", "--no-renames", "--raw", old, new).out
    parts = said.decode(errors="surrogateescape").split("\0")
    found = []
    for facts, path in zip(parts[0::2], parts[1::2], strict=False):
        old_mode, mode, old_oid, oid, status = facts.removeprefix(":").split(" ")
        found.append(Entry(path, old_mode, mode, Oid(old_oid), Oid(oid), status[0]))
    return found


def changed_paths(repo: Repo, old: Oid, new: Oid) -> frozenset[bytes]:
    """The paths in which two trees differ. Trees never change, and each look at a workspace asks this again."""
    return _changed_paths(repo.git_dir, old, new) if old != new else frozenset()


@lru_cache(maxsize=64)
def _changed_paths(git_dir: Path, old: Oid, new: Oid) -> frozenset[bytes]:
    return frozenset(os.fsencode(entry.path) for entry in entries(Repo(git_dir), old, new))


def changes_between(repo: Repo, base: Oid, tree: Oid) -> Changes:
    """The difference in the words that an agent reads."""
    by: dict[str, list[str]] = {"A": [], "D": [], "M": []}
    for entry in entries(repo, base, tree):
        by["M" if entry.status == "T" else entry.status].append(shown(entry.path))
    return Changes(tuple(by["A"]), tuple(by["M"]), tuple(by["D"]))


def changes_of(differ: Sequence[Entry]) -> tuple[Change, ...]:
    """The differences of two trees, as submissions hold them."""
    return tuple(
        Change(os.fsencode(each.path), _side(each.old_mode, each.old_oid), _side(each.mode, each.oid))
        for each in differ
    )


def _side(mode: str, oid: Oid) -> tuple[str, Oid] | None:
    return None if mode == NO_MODE else (mode, oid)


def with_entries(repo: Repo, tree: Oid, lines: list[str]) -> Oid:
    """A tree like `tree` but for the entries, written as git's index-info; mode 0 removes a path."""
    with TemporaryDirectory(prefix="index-", dir=repo.git_dir) as folder:
        at = Repo(repo.git_dir, index=Path(folder) / "index")
        at.run("read-tree", tree)
        given = b"".join(os.fsencode(line) + b"\0" for line in lines)
        at.run("update-index", "--replace", "-z", "--index-info", stdin=given)
        return at.run("write-tree").oid
