"""Merging two trees without a work tree, and the markers of conflicts."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from headway.domain.ids import Oid
from headway.git.attributes import MergeRules
from headway.git.changes import Change
from headway.git.git_process import GitError
from headway.git.landing.pack import Pack
from headway.git.landing.splice import Splice
from headway.git.objects import Reader
from headway.git.repo import Repo

_LABELS = {b"<": b"trunk", b"|": b"before both", b">": b"your change"}
_WRITTEN = re.compile(rb"(<{7,}|\|{7,}|>{7,}) [0-9a-f]{7,64}(?::[^\r\n]*)?([\r\n]*)")
"""A marker as merge-tree writes it: seven characters, or more for a conflict within a conflict; then the id of a
commit, and the path where the sides have different ones."""

_MARKER = re.compile(rb"[\r\n](?:<{7,} trunk|\|{7,} before both|>{7,} your change)[\r\n]")
_MARKER_BYTES = 64
"""More than a marker has that git writes."""

LARGEST_LABELLED = 8 << 20
"""Bytes up to which a file gets markers. Of a larger one that conflicts, the trunk's version stays."""

MEMORY_MB = 2048
"""Memory that a merge may have, in megabytes."""

BINARY, UNMERGED, LINK = "binary", "not merged, by its merge attribute", "link"
WHOLE_FILE = "whole file, as a merge by lines took too long"
LARGE = "whole file, as it is too large for markers"
WHOLE = frozenset({BINARY, UNMERGED, LINK, WHOLE_FILE, LARGE})
"""Kinds of conflicts that leave no markers."""

_BY_LINES = frozenset({"contents", "add/add"})
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


def merge_commits(
    repo: Repo,
    reader: Reader,
    ours: Oid,
    theirs: Oid,
    *,
    wall_s: float,
    cpu_s: int,
    changes: Sequence[Change] | None = None,
) -> Merged:
    """Merge `theirs`, a commit on an ancestor of `ours`, by the attributes that our side gives its files.

    `reader` knows all their objects. `changes`, if given, are the changes of `theirs` to its parent. A merge driver of
    the repository is never run: its files conflict.

    Raises:
        GitError: It failed, or took longer than `wall_s` seconds or `cpu_s` seconds of processor time (`exhausted`).
    """
    rules = MergeRules.read(reader, ours, theirs, changes)
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


def with_labels(repo: Repo, merged: Merged, ours: Oid) -> Merged:
    """The same merge, with markers that name the owner of each part instead of the ids of commits.

    A file that is too large for markers is as in the tree `ours`.
    """
    if not merged.conflicts:
        return merged
    pack = Pack(repo.git_dir / "objects" / "pack", merged.tree)
    reader = Reader(repo, pack.objects)
    try:
        changes = []
        for path, kind in {os.fsencode(each.path): each.kind for each in merged.conflicts}.items():
            old = reader.entry(merged.tree, path)
            if old is None or not old[0].startswith("100"):
                continue
            text = reader.content(old[1], LARGEST_LABELLED)
            if text is None:
                if kind in _BY_LINES:
                    changes.append(Change(path, old, reader.entry(ours, path)))
                continue
            named = b"".join(_named(line) for line in text.splitlines(keepends=True))
            if named != text:
                changes.append(Change(path, old, (old[0], pack.add("blob", named))))
        tree = Splice(reader, lambda body: pack.add("tree", body)).into(merged.tree, changes)
    finally:
        reader.close()
    pack.write(synced=True)
    return Merged(tree, merged.conflicts)


def _named(line: bytes) -> bytes:
    found = _WRITTEN.fullmatch(line)
    return line if found is None else b"%s %s%s" % (found[1], _LABELS[found[1][:1]], found[2])


def marked(repo: Repo, tree: Oid, paths: tuple[str, ...]) -> list[str]:
    """Those of `paths` whose file in `tree` still holds markers that `with_labels` wrote."""
    found = []
    with closing(Reader(repo, {})) as reader:
        for path in paths:
            stands = reader.entry(tree, os.fsencode(path))
            # It may be deleted, which is one way to resolve a conflict.
            if stands is not None and stands[0].startswith("100") and _has_marker(reader.chunks(stands[1])):
                found.append(path)
    return found


def _has_marker(chunks: Iterable[bytes]) -> bool:
    text = b"\n"
    for chunk in chunks:
        text += chunk
        if _MARKER.search(text):
            return True
        text = text[-_MARKER_BYTES:]
    return _MARKER.search(text + b"\n") is not None


def kinds_of(repo: Repo, merged: Merged, ours: Oid, theirs: Oid) -> dict[str, str]:
    """The kind of conflict of each path of a merge. For the kinds in `WHOLE` the file is as in the commit `ours`."""
    binary = binary_paths(repo, ours, theirs)
    kinds = {conflict.path: conflict.kind for conflict in merged.conflicts}
    with closing(Reader(repo, {})) as reader:
        before = repo.tree_of(ours)
        for path, kind in kinds.items():
            stands = reader.entry(merged.tree, os.fsencode(path))
            if kind not in _BY_LINES or stands is None:
                continue
            if stands == reader.entry(before, os.fsencode(path)):
                kinds[path] = LINK if stands[0] == "120000" else BINARY if path in binary else UNMERGED
            elif stands[0].startswith("100") and reader.content(stands[1], LARGEST_LABELLED) is None:
                kinds[path] = LARGE
            elif path in binary:
                kinds[path] = BINARY
    return kinds


def binary_paths(repo: Repo, old: Oid, new: Oid, *more: str, largest: int = LARGEST_LABELLED) -> set[str]:
    """Changed paths whose files are not text, or have more than `largest` bytes: git compares no lines of those."""
    at = repo.configured("core.bigFileThreshold", str(largest))
    said = at.run("diff-tree", "-r", "-z", "--no-renames", "--numstat", *more, old, new).out
    rows = (row.split("\t", 2) for row in said.decode(errors="surrogateescape").split("\0") if row)
    return {path for added, _, path in rows if added == "-"}
