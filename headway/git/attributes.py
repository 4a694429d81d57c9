"""`.gitattributes` for a git that has no work tree: the files of a tree are written where git looks for them.

Git before 2.40 reads attributes from a work tree or from `info/attributes` only. So a git process that needs the rules
of a tree gets a work tree that holds its `.gitattributes` files and nothing else.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.objects import Reader, entry, is_folder, split
from headway.git.repo import Repo
from headway.system.files import delete

RULES_FILE = b".gitattributes"
LARGEST = 1_000_000
"""Bytes up to which a file of attributes is read; a larger one counts as absent, as for git one of over 100 MB does."""

_BLANK = re.compile(rb"[ \t\r]+")
_BUILT_IN = frozenset({b"binary", b"text", b"union"})


@dataclass(frozen=True)
class MergeRules:
    """What the two sides of a merge say about merging, for the folders that either of them changed.

    Attributes:
        files: The contents of our side's `.gitattributes` by folder; the top is empty. Git asks our side, as in a
            work tree where it is checked out, and a file that only their side has where ours has none at the top.
        drivers: Names of merge drivers that are not git's own.
    """

    files: Mapping[bytes, bytes]
    drivers: frozenset[bytes]

    @classmethod
    def read(cls, reader: Reader, ours: Oid, theirs: Oid) -> "MergeRules | None":
        """The rules of a merge where `theirs` was made on the common ancestor; None where none is about merging.

        Raises:
            MissingObject: The hub lacks a part of them.
        """
        tree, parents = reader.commit(theirs)
        base = reader.commit(parents[0])[0] if parents else None
        files: dict[bytes, bytes] = {}
        named: set[bytes] = set()
        found = False
        for folder, sides in _differing(reader, (base, reader.commit(ours)[0], tree)):
            texts = [_text(reader, side.get(RULES_FILE)) for side in sides[1:]]
            for text in texts:
                if text is not None:
                    # A macro that says something of merging says it in the file at the top, which is always looked at.
                    found = found or b"merge" in text or b"binary" in text
                    named |= set(driver_names(text))
            if texts[0] is not None:
                files[folder] = texts[0]
        return cls(files, frozenset(named)) if found else None

    @contextmanager
    def followed(self, repo: Repo) -> Iterator[Repo]:
        """The same repository with these rules in force; drivers that are not git's own make conflicts."""
        with laid_out(repo.written or repo.git_dir, self.files) as folder:
            drivers = folder.with_name(f"{folder.name}.config")
            try:
                # Git would take a text merge for a driver that is not configured, and the repository asked for none.
                drivers.write_bytes(b"".join(_refusing(name) for name in sorted(self.drivers)))
                yield repo.at(folder, folder.with_name(f"{folder.name}.index")).configured("include.path", str(drivers))
            finally:
                drivers.unlink(missing_ok=True)


def words_of(text: bytes) -> Iterator[list[bytes]]:
    """The words of each line of a file of attributes, as git parts them: the pattern, then what it gives."""
    for line in text.split(b"\n"):
        words = [word for word in _BLANK.split(line.partition(b"\0")[0]) if word]
        if words and not words[0].startswith(b"#"):
            yield words


def driver_names(text: bytes) -> Iterator[bytes]:
    """Merge drivers that a file of attributes names, without git's own."""
    for words in words_of(text):
        for word in words:
            name = word.removeprefix(b"merge=")
            if name != word and name and name not in _BUILT_IN:
                yield name


def attributes_of(repo: Repo, tree: Oid, paths: Sequence[str], *names: str) -> dict[str, dict[str, str]]:
    """The values that the rules of `tree` give these attributes, by path; what they say nothing of is left out.

    A value is text, or `set` or `unset` for an attribute without one.
    """
    if not paths:
        return {}
    folders = {b"", *(b"/".join(parts[:at]) for parts in _split(paths) for at in range(1, len(parts)))}
    with closing(Reader(repo, {})) as reader:
        found = {folder: _text(reader, _line_at(reader, tree, folder)) for folder in folders}
    files = {folder: text for folder, text in found.items() if text is not None}
    if not files:
        return {}
    asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
    with laid_out(repo.git_dir, files) as top:
        at = repo.at(top, top.with_name(f"{top.name}.index"))
        said = at.run("check-attr", "-z", "--stdin", *names, stdin=asked).out.decode(errors="surrogateescape")
    parts = said.split("\0")
    values: dict[str, dict[str, str]] = {}
    for path, name, value in zip(parts[0::3], parts[1::3], parts[2::3], strict=False):
        if value != "unspecified":
            values.setdefault(path, {})[name] = value
    return values


def _split(paths: Sequence[str]) -> Iterator[list[bytes]]:
    return (os.fsencode(path).split(b"/") for path in paths)


def _line_at(reader: Reader, tree: Oid, folder: bytes) -> bytes | None:
    stands = reader.entry(tree, b"%s/%s" % (folder, RULES_FILE) if folder else RULES_FILE)
    return None if stands is None else entry(stands[0].encode(), RULES_FILE, bytes.fromhex(stands[1]))


def _refusing(name: bytes) -> bytes:
    quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'[merge "%s"]\n\tdriver = exit 1\n' % quoted


@contextmanager
def laid_out(beside: Path, files: Mapping[bytes, bytes]) -> Iterator[Path]:
    """A folder in `beside` that holds `.gitattributes` files, each given by its folder, and nothing else."""
    top = Path(tempfile.mkdtemp(prefix="rules-", dir=beside))
    try:
        for folder, text in files.items():
            _write(top, folder, text)
        yield top
    finally:
        delete(top)


def _write(top: Path, folder: bytes, text: bytes) -> None:
    # Step by step, because the whole name of a folder may be longer than a path can be.
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
    # Git opens the file without following a link.
    if line is None or not line.startswith(b"100"):
        return None
    return reader.content(split(line)[1], LARGEST)


_Sides = tuple[Mapping[bytes, bytes], ...]


def _differing(reader: Reader, trees: tuple[Oid | None, ...]) -> Iterator[tuple[bytes, _Sides]]:
    """Every folder in which the trees are not all the same, the top included, with the entries of each."""
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
