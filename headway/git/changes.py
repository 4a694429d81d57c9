"""What an agent changed: the files of its workspace against a commit, whatever git the agent ran itself."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.repo import TIMED_OUT, GitError, Repo

SUBMODULE = "160000"
NO_MODE = "000000"

_NOT_THE_FILE = ("index.lock", "new index file", "write error", "loose object")
"""Of what git says when it takes a file in: the repository could not be written, whatever the file is."""
_NO_OBJECT = "invalid object"

PATIENCE_S = 600.0
"""Longer than git takes for any work tree; an agent can make one that it never finishes reading."""

_RULES = frozenset({".gitignore", ".gitattributes"})


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


@dataclass(frozen=True)
class Scan:
    """The files of a work tree as a tree in the hub, and what of them is not in it; see `Changes`."""

    tree: Oid
    nested: tuple[str, ...]
    unreadable: tuple[str, ...]


def shown(path: str) -> str:
    """A path as text that any JSON can carry: bytes that are no UTF-8 are written as escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def entries(repo: Repo, old: str, new: str) -> list[Entry]:
    """What differs between two trees or commits; a rename is a deletion and an addition."""
    said = repo.run("diff-tree", "-r", "-z", "--no-renames", "--raw", old, new).out
    parts = said.decode(errors="surrogateescape").split("\0")
    found = []
    for facts, path in zip(parts[0::2], parts[1::2], strict=False):
        old_mode, mode, old_oid, oid, status = facts.removeprefix(":").split(" ")
        found.append(Entry(path, old_mode, mode, Oid(old_oid), Oid(oid), status[0]))
    return found


def changes_between(repo: Repo, base: Oid, scan: Scan) -> Changes:
    """The difference in the words that an agent reads."""
    by: dict[str, list[str]] = {"A": [], "D": [], "M": []}
    for entry in entries(repo, base, scan.tree):
        by["M" if entry.status == "T" else entry.status].append(shown(entry.path))
    return Changes(tuple(by["A"]), tuple(by["M"]), tuple(by["D"]), scan.nested, scan.unreadable)


def scan(tree: Repo, never: str, only: Collection[bytes] = ()) -> Scan:
    """Read the work tree into the index of `tree` and write it as a tree object.

    Files are hashed only if their stat data differs from the index. `never` is the folder that is nobody's work. No
    process is started inside a submodule or a nested repository, because its configuration is the agent's.

    `only` are names below which the work tree may differ from the index, where somebody knows; nothing else is read.
    """
    try:
        return _scan(tree, never, only)
    except GitError as error:
        if error.code != TIMED_OUT or not _without_traps(tree.work_tree or Path()):
            raise
        # The git that was ended held it, and we hold the workspace.
        Path(f"{tree.index}.lock").unlink(missing_ok=True)
        return _scan(tree, never, only)


def _scan(tree: Repo, never: str, only: Collection[bytes]) -> Scan:
    if not only:
        refresh(tree)
    gone, kept, nested = _sorted_out(tree.work_tree or Path(), differing(tree, only), never)
    if gone:
        tree.run("update-index", "-z", "--force-remove", "--stdin", stdin=_lines(gone))
    unreadable = _take_in(tree, kept)
    return Scan(_tree_of_index(tree), nested, unreadable)


def _tree_of_index(tree: Repo) -> Oid:
    """The index as a tree object.

    Git tells of success also where a full disk kept it from giving an object its name (fsyncMethod=batch, seen in
    2.39), and the index then takes the file for known. Such files are read anew.
    """
    written = tree.run("write-tree", ok=None)
    if written.code and _NO_OBJECT in written.err:
        lost = _without_object(tree)
        tree.run("update-index", "-z", "--force-remove", "--stdin", stdin=_lines(lost))
        tree.run("update-index", "-z", "--add", "--stdin", stdin=_lines(lost), timeout_s=PATIENCE_S)
        written = tree.run("write-tree", ok=None)
    if written.code:
        raise GitError(["write-tree"], written.code, written.err)
    return written.oid


def _without_object(tree: Repo) -> set[bytes]:
    """Paths of the index whose content is not in the repository."""
    named: dict[bytes, set[bytes]] = {}
    for line in filter(None, tree.run("ls-files", "-s", "-z").out.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, oid, _ = facts.split(b" ")
        if mode != b"160000":
            named.setdefault(oid, set()).add(path)
    found = tree.run("cat-file", "--batch-check", stdin=b"".join(oid + b"\n" for oid in named)).out
    gone = [line.split(b" ")[0] for line in found.split(b"\n") if line.endswith(b" missing")]
    return set().union(*(named[oid] for oid in gone))


def _without_traps(top: Path) -> bool:
    """Delete pipes where git looks for its rules: it waits for ever for somebody to write one. They are no work."""
    found = [
        Path(place) / name
        for place, _, names in os.walk(top)
        for name in names
        if name in _RULES and stat.S_ISFIFO((Path(place) / name).lstat().st_mode)
    ]
    for trap in found:
        trap.unlink()
    return bool(found)


def refresh(tree: Repo) -> None:
    """Have the index know by their stat data which files are as it says."""
    tree.run("update-index", "-q", "--ignore-submodules", "--refresh", ok=(0, 1), timeout_s=PATIENCE_S)


def differing(tree: Repo, only: Collection[bytes] = ()) -> bytes:
    """The names that differ between index and work tree, as `git ls-files -t -z` tells them.

    With `only`, also those below that do not differ: asked for what does, git looks at every file there is.
    """
    names = [os.fsdecode(name) for name in sorted(only)]
    tracked = ("--cached",) if only else ("--modified", "--deleted")
    listing = ("ls-files", "-z", "-t", *tracked, "--others", "--exclude-standard")
    return tree.run(*listing, "--", *names, timeout_s=PATIENCE_S).out


def _take_in(tree: Repo, paths: set[bytes]) -> tuple[str, ...]:
    """Put files into the index; returns those that git does not take."""
    take = ("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
    if not paths or tree.run(*take, stdin=_lines(paths), ok=None, timeout_s=PATIENCE_S).code == 0:
        return ()
    refused = []
    for path in sorted(paths):
        said = tree.run(*take, stdin=path + b"\0", ok=None)
        if any(words in said.err for words in _NOT_THE_FILE):
            raise GitError(take, said.code, said.err)
        if said.code:
            refused.append(shown(os.fsdecode(path)))
    return tuple(refused)


def _lines(paths: set[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in sorted(paths))


def _sorted_out(top: Path, listed: bytes, never: str) -> tuple[set[bytes], set[bytes], tuple[str, ...]]:
    gone: set[bytes] = set()
    kept: set[bytes] = set()
    nested: set[bytes] = set()
    own = never.encode()
    for line in filter(None, listed.split(b"\0")):
        tag, path = line[:1], line[2:]
        if path == own or path.startswith(own + b"/"):
            continue
        if tag == b"?" and path.endswith(b"/"):
            nested.add(path)
        elif tag == b"R" or (tag in {b"C", b"H"} and not _stands(os.fsencode(top), path)):
            gone.add(path)
        else:
            kept.add(path)
    names = (shown(os.fsdecode(path)).removesuffix("/") for path in nested)
    return gone, kept - gone, tuple(sorted(names))


def _stands(top: bytes, path: bytes) -> bool:
    """Whether a tracked path is still there itself, not behind a folder that became a symbolic link."""
    place = top
    for part in path.split(b"/")[:-1]:
        place = os.path.join(place, part)  # noqa: PTH118 - bytes, which Path does not take
        if os.path.islink(place):  # noqa: PTH114
            return False
    whole = os.path.join(top, path)  # noqa: PTH118
    return os.path.lexists(whole)
