"""Merging two trees without a work tree, and the markers of what did not merge."""

import os
import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.domain.ids import Oid
from headway.git.attributes import MergeRules
from headway.git.objects import Reader
from headway.git.pack import Pack
from headway.git.repo import GitError, Repo
from headway.git.splice import Change, Splice

_LABELS = {b"<<<<<<< ": b"trunk", b"||||||| ": b"before both", b">>>>>>> ": b"your change"}
_MARKERS = frozenset(marker + label for marker, label in _LABELS.items())

MEMORY_MB = 2048
"""Memory that a merge may have, in megabytes."""

BINARY, UNMERGED, LINK = "binary", "not merged, by its merge attribute", "link"
WHOLE_FILE = "whole file, as a merge by lines took too long"
WHOLE = frozenset({BINARY, UNMERGED, LINK, WHOLE_FILE})
"""Kinds of conflicts that leave no markers."""

_OID = re.compile(r"[0-9a-f]{40,64}")
_ASIDE = re.compile(r"~[0-9a-f]{40,64}$")


@dataclass(frozen=True)
class Conflict:
    """One path that did not merge, and how: `contents`, `modify/delete`, `binary`, as git names it."""

    path: str
    kind: str


@dataclass(frozen=True)
class Merged:
    """The tree of a merge; where paths conflict, it holds the files with zdiff3 markers."""

    tree: Oid
    conflicts: tuple[Conflict, ...]


def merge_commits(repo: Repo, reader: Reader, ours: Oid, theirs: Oid, *, wall_s: float, cpu_s: int) -> Merged:
    """Merge `theirs`, a commit on an ancestor of `ours`, by the attributes that our side gives its files.

    `reader` knows all their objects. A merge driver of the repository is never run: its files conflict.

    Raises:
        GitError: It failed, or took longer than `wall_s` seconds or `cpu_s` seconds of processor time (`exhausted`).
    """
    rules = MergeRules.read(reader, ours, theirs)
    if rules is None:
        return _merged(repo, ours, theirs, wall_s, cpu_s)
    with rules.followed(repo) as ruled:
        return _merged(ruled, ours, theirs, wall_s, cpu_s)


def _merged(repo: Repo, ours: Oid, theirs: Oid, wall_s: float, cpu_s: int) -> Merged:
    command = ("merge-tree", "--write-tree", "--messages", "-z", ours, theirs)
    said = repo.run(*command, ok=(0, 1), timeout_s=wall_s, cpu_s=cpu_s, memory_mb=MEMORY_MB)
    fields = said.out.decode(errors="surrogateescape").split("\0")
    if not _OID.fullmatch(fields[0]) or "" not in fields[1:]:
        # With code 1 git also says that it cannot merge at all, such as for an object that it does not find.
        raise GitError(command, said.code, said.err)
    if said.code == 0:
        return Merged(Oid(fields[0]), ())
    end = fields.index("", 1)
    staged: dict[str, str] = {}
    for line in fields[1:end]:
        facts, _, path = line.partition("\t")
        staged[path] = staged.get(path, "") + facts[-1]
    return Merged(Oid(fields[0]), _conflicts(fields[end + 1 :], staged))


def _conflicts(messages: list[str], staged: dict[str, str]) -> tuple[Conflict, ...]:
    kinds: dict[str, str] = {}
    place = 0
    while place < len(messages) and messages[place].isdigit():
        count = int(messages[place])
        paths = messages[place + 1 : place + 1 + count]
        kind = messages[place + 1 + count]
        place += count + 3
        if kind.startswith("CONFLICT"):
            name = kind.removeprefix("CONFLICT").strip(" ()")
            kinds |= {path: name for path in paths if path in staged}
    for path, stages in staged.items():
        if kinds.get(path, "contents") == "contents":
            kinds[path] = "add/add" if stages == "23" else "contents"
    return tuple(Conflict(path, kinds[path]) for path in sorted(staged))


def own_name(path: str) -> str:
    """The name of a file that git moved aside in a merge, because a folder has its name now."""
    return _ASIDE.sub("", path)


def with_labels(repo: Repo, merged: Merged) -> Merged:
    """The same merge, with markers that say whose part each is instead of the ids of commits."""
    if not merged.conflicts:
        return merged
    pack = Pack(repo.git_dir / "objects" / "pack", merged.tree)
    reader = Reader(repo, pack.objects)
    try:
        changes = []
        for path in {os.fsencode(conflict.path) for conflict in merged.conflicts}:
            old = reader.entry(merged.tree, path)
            if old is None or not old[0].startswith("100"):
                continue
            text = reader.read(old[1])
            named = b"".join(_named(line) for line in text.splitlines(keepends=True))
            if named != text:
                changes.append(Change(path, old, (old[0], pack.add("blob", named))))
        tree = Splice(reader, lambda body: pack.add("tree", body)).into(merged.tree, changes)
    finally:
        reader.close()
    pack.write(synced=True)
    return Merged(tree, merged.conflicts)


def _named(line: bytes) -> bytes:
    # Only what merge-tree wrote itself: the marker and the full id of a commit, or nothing for the base.
    marker, rest = line[:8], line[8:].rstrip(b"\r\n")
    if marker not in _LABELS or len(rest.split(b":")[0]) < 7 or rest[:7].strip(b"0123456789abcdef"):  # noqa: PLR2004
        return line
    ending = line[8 + len(rest) :]
    return marker + _LABELS[marker] + ending


def with_entries(repo: Repo, tree: Oid, lines: list[str]) -> Oid:
    """A tree like `tree` but for the entries, written as git's index-info; mode 0 removes a path."""
    with TemporaryDirectory(prefix="index-", dir=repo.git_dir) as folder:
        at = Repo(repo.git_dir, index=Path(folder) / "index")
        at.run("read-tree", tree)
        given = b"".join(os.fsencode(line) + b"\0" for line in lines)
        at.run("update-index", "--replace", "-z", "--index-info", stdin=given)
        return at.run("write-tree").oid


def marked(repo: Repo, tree: Oid, paths: tuple[str, ...]) -> list[str]:
    """Those of `paths` whose file in `tree` still holds markers that `with_labels` wrote."""
    found = []
    for path in paths:
        try:
            text = repo.run("cat-file", "blob", f"{tree}:{path}").out
        except GitError:
            # It was deleted, which is one way to resolve a conflict.
            continue
        if not _MARKERS.isdisjoint(text.splitlines()):
            found.append(path)
    return found


def kinds_of(repo: Repo, merged: Merged, ours: Oid, theirs: Oid) -> dict[str, str]:
    """The kind of conflict of each path of a merge. For the kinds in `WHOLE` the file is as in the commit `ours`."""
    said = repo.run("diff-tree", "-r", "-z", "--no-renames", "--numstat", ours, theirs).out
    rows = (row.split("\t", 2) for row in said.decode(errors="surrogateescape").split("\0") if row)
    binary = {path for added, _, path in rows if added == "-"}
    kinds = {conflict.path: conflict.kind for conflict in merged.conflicts}
    with closing(Reader(repo, {})) as reader:
        before = repo.tree_of(ours)
        for path, kind in kinds.items():
            stands = reader.entry(merged.tree, os.fsencode(path))
            if kind not in {"contents", "add/add"} or stands is None:
                continue
            if path in binary:
                kinds[path] = BINARY
            elif stands == reader.entry(before, os.fsencode(path)):
                kinds[path] = LINK if stands[0] == "120000" else UNMERGED
    return kinds
