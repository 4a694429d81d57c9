"""`.gitattributes` of a tree for a git without a work tree.

Git before 2.40 reads attributes from a work tree or from `info/attributes` only. So a git process that needs the rules
of a tree gets a temporary work tree that holds its `.gitattributes` files and nothing else.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.changes import Change, with_nul
from headway.git.objects import Reader, entry, is_folder, split
from headway.git.repo import Repo
from headway.system.files import delete

RULES_FILE = b".gitattributes"
LARGEST = 1_000_000
"""Bytes up to which a rules file is read. A larger one counts as absent, as for git one of over 100 MB does."""

_BLANK = re.compile(rb"[ \t\r]+")
_BUILT_IN = frozenset({b"binary", b"text", b"union"})


@dataclass(frozen=True)
class MergeRules:
    """The rules about merging of both sides of a merge, for the folders that one of them changed.

    Attributes:
        files: The contents of our side's `.gitattributes` by folder; the top is empty. As git does in a work tree, only
            our side's rules apply. The exception is git's own: a file at the top that only their side has applies too.
        drivers: Names of merge drivers that are not git's own.
    """

    files: Mapping[bytes, bytes]
    drivers: frozenset[bytes]

    @classmethod
    def read(
        cls, reader: Reader, ours: Oid, theirs: Oid, changes: Sequence[Change] | None = None
    ) -> "MergeRules | None":
        """The rules of a merge whose common ancestor is the parent of `theirs`; None where no rule is about merging.

        With `changes`, the differences between `theirs` and its parent, no tree of `theirs` is read.

        Raises:
            MissingObject: The hub lacks a part of them.
        """
        tree, parents = reader.commit(theirs)
        base, ours_tree = reader.commit(parents[0])[0] if parents else None, reader.commit(ours)[0]
        files: dict[bytes, bytes] = {}
        named: set[bytes] = set()
        found = False
        if changes is None or base is None:
            lines = _lines(reader, (base, ours_tree, tree))
        else:
            lines = _lines_after(reader, base, ours_tree, changes)
        for folder, (_, *sides) in lines:
            texts = [_text(reader, line) for line in sides]
            for text in texts:
                if text is not None:
                    # Only the file at the top may define macros, and it is always read.
                    found = found or b"merge" in text or b"binary" in text
                    named |= set(driver_names(text))
            if texts[0] is not None:
                files[folder] = texts[0]
        return cls(files, frozenset(named)) if found else None

    @contextmanager
    def followed(self, repo: Repo) -> Iterator[Repo]:
        """The same repository with these rules in force. Drivers that are not git's own make conflicts."""
        with laid_out(repo.written or repo.git_dir, self.files) as folder:
            drivers = folder.with_name(f"{folder.name}.config")
            try:
                # For a driver without configuration git would merge as text, which the repository did not ask for.
                drivers.write_bytes(b"".join(_refusing(name) for name in sorted(self.drivers)))
                yield repo.at(folder, folder.with_name(f"{folder.name}.index")).configured("include.path", str(drivers))
            finally:
                drivers.unlink(missing_ok=True)


def words_of(text: bytes) -> Iterator[list[bytes]]:
    """The words of each line of a `.gitattributes`, split as git does: the pattern, then the attributes."""
    for line in text.split(b"\n"):
        words = [word for word in _BLANK.split(line.partition(b"\0")[0]) if word]
        if words and not words[0].startswith(b"#"):
            yield words


def driver_names(text: bytes) -> Iterator[bytes]:
    """Merge drivers that a `.gitattributes` names, without git's own."""
    for words in words_of(text):
        for word in words:
            name = word.removeprefix(b"merge=")
            if name != word and name and name not in _BUILT_IN:
                yield name


def attributes_of(repo: Repo, tree: Oid, paths: Sequence[str], *names: str) -> dict[str, dict[str, str]]:
    """The values of these attributes by the rules of `tree`, by path and name; unspecified ones are left out.

    A value is text, or `set` or `unset` for an attribute without a value; see `has_value`.
    """
    if not paths:
        return {}
    folders = {b"", *(b"/".join(parts[:at]) for parts in _split(paths) for at in range(1, len(parts)))}
    with closing(Reader(repo, {})) as reader:
        found = {folder: _text(reader, _line_at(reader, tree, folder)) for folder in folders}
    files = {folder: text for folder, text in found.items() if text is not None}
    if not files:
        return {}
    with laid_out(repo.git_dir, files) as top:
        at = repo.at(top, top.with_name(f"{top.name}.index"))
        asked = with_nul(os.fsencode(path) for path in paths)
        said = at.run("check-attr", "-z", "--stdin", *names, stdin=asked).out.decode(errors="surrogateescape")
    parts = said.split("\0")
    values: dict[str, dict[str, str]] = {}
    for path, name, value in zip(parts[0::3], parts[1::3], parts[2::3], strict=False):
        if value != "unspecified":
            values.setdefault(path, {})[name] = value
    return values


def is_rules(path: str) -> bool:
    """True if a path is that of a `.gitattributes`."""
    return path.rpartition("/")[2] == os.fsdecode(RULES_FILE)


def has_value(value: str | None) -> bool:
    """True if a value from `attributes_of` is a name, such as that of a filter."""
    return value is not None and value not in {"set", "unset"}


def _split(paths: Sequence[str]) -> Iterator[list[bytes]]:
    return (os.fsencode(path).split(b"/") for path in paths)


def _line_at(reader: Reader, tree: Oid, folder: bytes) -> bytes | None:
    stands = reader.entry(tree, b"%s/%s" % (folder, RULES_FILE) if folder else RULES_FILE)
    return None if stands is None else _line(stands)


def _line(side: tuple[str, Oid]) -> bytes:
    return entry(side[0].encode(), RULES_FILE, bytes.fromhex(side[1]))


def _refusing(name: bytes) -> bytes:
    quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'[merge "%s"]\n\tdriver = exit 1\n' % quoted


@contextmanager
def laid_out(beside: Path, files: Mapping[bytes, bytes]) -> Iterator[Path]:
    """A temporary folder in `beside` with `.gitattributes` files, given by their folders, and nothing else."""
    top = Path(tempfile.mkdtemp(prefix="rules-", dir=beside))
    try:
        for folder, text in files.items():
            _write(top, folder, text)
        yield top
    finally:
        delete(top)


def _write(top: Path, folder: bytes, text: bytes) -> None:
    # Folder by folder, because the whole path may be longer than the system takes.
    handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in filter(None, folder.split(b"/")):
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=handle)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = below
        with os.fdopen(os.open(RULES_FILE, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=handle), "wb") as file:
            file.write(text)
    finally:
        os.close(handle)


def _text(reader: Reader, line: bytes | None) -> bytes | None:
    # Only a regular file counts: git does not follow a link here.
    if line is None or not line.startswith(b"100"):
        return None
    return reader.content(split(line)[1], LARGEST)


_Lines = tuple[bytes | None, ...]
"""The entry of a folder's `.gitattributes` in each of several trees."""


def _lines(reader: Reader, trees: tuple[Oid | None, ...]) -> Iterator[tuple[bytes, _Lines]]:
    """The top and every folder that is not the same in all trees, each with its lines."""
    return ((folder, tuple(side.get(RULES_FILE) for side in sides)) for folder, sides in _differing(reader, trees))


def _lines_after(reader: Reader, base: Oid, ours: Oid, changes: Sequence[Change]) -> Iterator[tuple[bytes, _Lines]]:
    """The same for `base`, `ours`, and the tree that `changes` make of `base`."""
    before = dict(_lines(reader, (base, ours)))
    new: dict[bytes, bytes | None] = {}
    folders = set(before)
    for change in changes:
        folder, _, name = change.path.rpartition(b"/")
        if name == RULES_FILE:
            new[folder] = None if change.new is None else _line(change.new)
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition(b"/")[0]
    for folder in folders:
        lines = before.get(folder)
        if lines is None:
            line = _line_at(reader, base, folder)
            lines = (line, line)
        yield folder, (*lines, new.get(folder, lines[0]))


def _differing(
    reader: Reader, trees: tuple[Oid | None, ...]
) -> Iterator[tuple[bytes, tuple[Mapping[bytes, bytes], ...]]]:
    """The top and every folder that is not the same in all trees, each with its entries by tree."""
    todo: list[tuple[bytes, tuple[Oid | None, ...]]] = [(b"", trees)]
    while todo:
        folder, below = todo.pop()
        sides = tuple(reader.tree(oid) if oid is not None else {} for oid in below)
        yield folder, sides
        first = sides[0].items()
        names = {name for side in sides[1:] for name, _ in first ^ side.items()}
        for name in names:
            lines = [side.get(name) for side in sides]
            oids = tuple(split(line)[1] if line is not None and is_folder(line) else None for line in lines)
            if any(oid is not None for oid in oids):
                todo.append((b"%s/%s" % (folder, name) if folder else name, oids))
