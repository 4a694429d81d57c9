"""Reads a work tree: its files become a tree object, by comparison with the commit that they stand on and nothing else.

The result depends on the files and the commit alone, and never on earlier scans or on the kind of workspace. Bytes that
a checkout of the commit writes are unchanged, also where git would normalise them differently. For example, a file was
committed with CRLF before `.gitattributes` called it text.
"""

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.attributes import RULES_FILE
from headway.git.changes import REGULAR, SUBMODULE, changed_paths, entries, shown, with_nul
from headway.git.git_process import GitError, GitOutput
from headway.git.repo import Repo
from headway.git.workspace.rules_files import patiently
from headway.git.workspace.tool_caches import below, caches_among, indexed_below
from headway.git.workspace.written_files import as_written, write_again

_NOT_THE_FILE = ("index.lock", "new index file", "write error", "loose object")
"""Parts of git's errors when it adds a file, which mean that the repository, and not the file, is at fault."""
_NO_OBJECT = "invalid object"
_TAKE = ("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
_REFUSED_NAME = "Ignoring path"
"""Git's message, with exit code 0, for a name such as `git~1`, which means the git directory on another system."""


@dataclass(frozen=True)
class Scan:
    """The files of a work tree.

    Attributes:
        tree: The commit's tree with the agent's changes.
        files: `tree` with the changes that `setup` made and the agent did not touch: all files as they are.
        nested: Folders with a repository of their own, which are no part of this one; see `Changes`.
        unreadable: Files that git cannot take; see `Changes`.
        caches: Folders of language tools that are left out as ignored ones are.
        normal: The tree that the index holds, when it is not `files`. It has git's normal form of the files that git
            itself calls modified although their bytes are those of a checkout.
    """

    tree: Oid
    files: Oid
    nested: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    normal: Oid | None = None
    caches: tuple[str, ...] = ()


def scan(tree: Repo, base: Oid, never: str, only: Collection[bytes] = ()) -> Scan:
    """Read the work tree into the index of `tree`, and write it as a tree object.

    The index holds the tree `base` at first, with stat data only for files that are as a checkout wrote them; those are
    not read. All others are read once, by the rules that lie in the work tree, and get their stat data. No process
    starts inside a submodule or a nested repository, because the agent controls its configuration.

    Args:
        tree: The hub with the work tree and the index.
        base: The tree that the files are compared with. Its files are never ignored.
        never: The folder at the top that belongs to the harness.
        only: If given, the names below which the work tree may differ from the index. Only these are read.
    """
    top = os.fsencode(tree.work_tree or Path())
    tracked, untracked = differing(tree, only)
    caches = caches_among(tree, base, top, untracked)
    gone, kept, nested = _sorted_out(top, tracked, untracked, never, caches)
    stale = indexed_below(tree, caches)
    gone, kept = gone | stale, kept - stale
    replaced, repositories = _replaced_by_folders(tree, top, kept)
    gone, kept, nested = gone | replaced, kept - replaced, tuple(sorted({*nested, *repositories}))
    names = tuple(sorted(shown(os.fsdecode(folder)) for folder in caches))
    if not gone and not kept:
        return Scan(base, base, nested, caches=names)
    before = _index_before(tree, top, gone, kept)
    # Where git finds no file with rules it takes those of the index, and a link's target for rules when that is there.
    links = {path for path in kept if path.rpartition(b"/")[2] == RULES_FILE and _is(stat.S_ISLNK, top, path)}
    if gone or links:
        tree.run("update-index", "-z", "--force-remove", "--stdin", stdin=with_nul(gone | links))
    unreadable = (*take_in(tree, kept - links), *take_in(tree, links))
    normal = _tree_of_index(tree)
    files = normal if before is None else _without_conversions(tree, base, normal, before)
    return Scan(files, files, nested, unreadable, normal if files != normal else None, names)


def _index_before(tree: Repo, top: bytes, gone: set[bytes], kept: set[bytes]) -> Path | None:
    """A copy of the index as it is now; None when no `.gitattributes` applies to a file that differs."""
    assert tree.index is not None
    if not _have_rules(top, gone, kept):
        return None
    return Path(shutil.copyfile(tree.index, tree.index.with_name("index-before")))


def _have_rules(top: bytes, gone: set[bytes], kept: set[bytes]) -> bool:
    folders = {b""}
    for path in kept:
        while path := path.rpartition(b"/")[0]:
            if path in folders:
                break
            folders.add(path)
    return any(
        (place := os.path.join(folder, RULES_FILE)) in gone or os.path.lexists(os.path.join(top, place))  # noqa: PTH118
        for folder in folders
    )


def _without_conversions(tree: Repo, base: Oid, normal: Oid, before: Path) -> Oid:
    """The tree `normal` with the content of `base` for files that are as a checkout wrote them."""
    assert tree.index is not None
    try:
        modified = {
            os.fsencode(entry.path): entry
            for entry in entries(tree, base, normal)
            if entry.mode in REGULAR and entry.old_mode in REGULAR and entry.oid != entry.old_oid
        }
        same = as_written(tree, before, modified)
        if not same:
            return normal
        # In a copy: the index itself keeps the stat data, by which a later merge sees whether they were written since.
        at = replace(tree, index=Path(shutil.copyfile(tree.index, before)))
        return _with_content(at, ((modified[path].mode, modified[path].old_oid, path) for path in same))
    finally:
        before.unlink()


def _with_content(tree: Repo, files: Iterable[tuple[str, Oid, bytes]]) -> Oid:
    """Put modes and contents into the index, without stat data; returns it as a tree."""
    lines = b"".join(f"{mode} {oid}\t".encode() + path + b"\0" for mode, oid, path in files)
    if lines:
        tree.run("update-index", "-z", "--index-info", stdin=lines)
    return tree.run("write-tree").oid


def move_files(tree: Repo, found: Scan, to: Oid) -> None:
    """Turn the files of a scan, whose index `tree` still has, into those of the tree `to`.

    Git refuses, with nothing done, when a file that it would write or delete was written since the scan.

    Raises:
        GitError: It refused, or failed in the middle.
    """
    if found.normal is None:
        tree.run("read-tree", "-m", "-u", found.files, to)
        return
    written = changed_paths(tree, found.files, to)
    normal = {os.fsencode(each.path): each for each in entries(tree, found.normal, found.files)}
    # Those that stay are not written again. Those that go are in the index as git reads them, so that it knows them.
    stay = ((each.mode, each.oid, path) for path, each in normal.items() if path not in written)
    start = _with_content(tree, stay)
    tree.run("read-tree", "-m", "-u", start, to)
    # For git such a file has become the trunk's already, when the trunk took its normal form.
    write_again(tree, (normal.keys() & written) - changed_paths(tree, start, to))


def _tree_of_index(tree: Repo) -> Oid:
    """The index as a tree object.

    Git reports success even when a full disk kept it from renaming an object into place (fsyncMethod=batch, seen in
    2.39). The index then takes the file for known. Such files are read again.
    """
    written = tree.run("write-tree", ok=None)
    if written.code and _NO_OBJECT in written.err:
        lost = _without_object(tree)
        tree.run("update-index", "-z", "--force-remove", "--stdin", stdin=with_nul(lost))
        patiently(tree, "update-index", "-z", "--add", "--stdin", stdin=with_nul(lost))
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
        if mode != SUBMODULE.encode():
            named.setdefault(oid, set()).add(path)
    found = tree.run("cat-file", "--batch-check", stdin=b"".join(oid + b"\n" for oid in named)).out
    gone = [line.split(b" ")[0] for line in found.split(b"\n") if line.endswith(b" missing")]
    return set().union(*(named[oid] for oid in gone))


def refresh(tree: Repo) -> None:
    """Store the stat data of unchanged files in the index."""
    # With -q git would not say why it cannot write the index.
    patiently(tree, "update-index", "--ignore-submodules", "--refresh", ok=(0, 1))


def differing(tree: Repo, only: Collection[bytes] = ()) -> tuple[set[bytes], set[bytes]]:
    """The tracked names that may differ between index and work tree, by stat data alone; and the untracked names.

    With `only`, the tracked names are all below it. Asked for differences, git would look at every file of the work
    tree. The untracked name of a folder with a repository of its own ends with a slash.
    """
    others = ("ls-files", "-z", "-t", "--others", "--exclude-standard")
    if not only:
        # Both look at all files, and neither needs the other: at once they take half of the time.
        with ThreadPoolExecutor(1) as beside:
            tracked = beside.submit(_by_stat_data, tree)
            listed = patiently(tree, *others).out
        return tracked.result(), {line[2:] for line in listed.split(b"\0") if line}
    names = [os.fsdecode(name) for name in _topmost(only)]
    lines = patiently(tree, *others, "--cached", "--", *names).out.split(b"\0")
    return {line[2:] for line in lines if line[:1] == b"H"}, {line[2:] for line in lines if line[:1] == b"?"}


def _by_stat_data(tree: Repo) -> set[bytes]:
    # No file is read for it, so it does not matter which rules are in force yet. Threads of git would only cost.
    alone = tree.configured("core.preloadIndex", "false")
    listed = patiently(alone, "diff-files", "-z", "--name-only", "--ignore-submodules=dirty").out
    return set(filter(None, listed.split(b"\0")))


def _topmost(names: Collection[bytes]) -> list[bytes]:
    """The names that lie below no other one. Asked for a path in it, git does not tell of a folder's repository."""
    found: list[bytes] = []
    for name in sorted(names, key=lambda name: name + b"/"):
        if not found or not name.startswith(found[-1] + b"/"):
            found.append(name)
    return found


def take_in(tree: Repo, paths: set[bytes]) -> tuple[str, ...]:
    """Put files into the index. Returns those that git refuses."""
    if not paths or _all_taken(patiently(tree, *_TAKE, stdin=with_nul(paths), ok=None)):
        return ()
    return tuple(shown(os.fsdecode(path)) for path in _refused_among(tree, sorted(paths)))


def _refused_among(tree: Repo, paths: list[bytes]) -> list[bytes]:
    """Those of `paths` that git refuses, found by halves: with one of them it takes none."""
    try:
        said = tree.run(*_TAKE, stdin=with_nul(paths), ok=None)
    except GitError as error:
        if not error.starved:
            raise
        said = GitOutput(error.code, b"", error.err)
    if any(words in said.err for words in _NOT_THE_FILE):
        raise GitError(_TAKE, said.code, said.err)
    if _all_taken(said):
        return []
    half = len(paths) // 2
    return [each for some in (paths[:half], paths[half:]) for each in _refused_among(tree, some)] if half else paths


def _all_taken(said: GitOutput) -> bool:
    return said.code == 0 and _REFUSED_NAME not in said.err


def _replaced_by_folders(tree: Repo, top: bytes, kept: set[bytes]) -> tuple[set[bytes], set[str]]:
    """Tracked files that are folders now, and which of those are repositories. Submodules, always folders, are out."""
    folders = {path for path in kept if _is(stat.S_ISDIR, top, path)}
    if not folders:
        return set(), set()
    names = [os.fsdecode(path) for path in sorted(folders)]
    listed = tree.run("ls-files", "-s", "-z", "--", *names).out.split(b"\0")
    links = {line.partition(b"\t")[2] for line in listed if line.startswith(SUBMODULE.encode())}
    files = folders - links
    inside = (path for path in files if os.path.lexists(os.path.join(top, path, b".git")))  # noqa: PTH118
    return files, {shown(os.fsdecode(path)) for path in inside}


def _is(kind: Callable[[int], bool], top: bytes, path: bytes) -> bool:
    try:
        return kind(os.lstat(os.path.join(top, path)).st_mode)  # noqa: PTH118 - bytes, which Path does not take
    except OSError:
        return False


def _sorted_out(
    top: bytes, tracked: set[bytes], untracked: set[bytes], never: str, caches: frozenset[bytes]
) -> tuple[set[bytes], set[bytes], tuple[str, ...]]:
    own = frozenset({never.encode()})
    tracked = {path for path in tracked if not below(path, own)}
    untracked = {path for path in untracked if not below(path, own | caches)}
    gone = {path for path in tracked if not _stands(top, path)}
    nested = {path for path in untracked if path.endswith(b"/")}
    names = (shown(os.fsdecode(path)).removesuffix("/") for path in nested)
    return gone, (tracked | untracked) - gone - nested, tuple(sorted(names))


def _stands(top: bytes, path: bytes) -> bool:
    """True if a tracked path is still there itself, not behind a folder that became a symbolic link."""
    place = top
    for part in path.split(b"/")[:-1]:
        place = os.path.join(place, part)  # noqa: PTH118 - bytes, which Path does not take
        if os.path.islink(place):  # noqa: PTH114
            return False
    whole = os.path.join(top, path)  # noqa: PTH118
    return os.path.lexists(whole)
