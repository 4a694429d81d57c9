"""Putting a change into a tree where no other landing changed the same paths: no merge, only the folders on its way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headway.domain.ids import Oid
from headway.git.changes import Change
from headway.git.objects import FOLDER, Reader, entry, in_order, is_folder, split


class Uneven(Exception):
    """Another landing changed one of the paths, or put a folder where a file should be: this needs a real merge."""


@dataclass(slots=True)
class _Part:
    """Changes below one folder: those of its own files, and those of the folders in it."""

    files: dict[bytes, Change] = field(default_factory=dict)
    folders: dict[bytes, "_Part"] = field(default_factory=dict)


@dataclass
class Splice:
    """Splices changes into trees.

    Attributes:
        reader: Reads the trees.
        write: Takes the body of a new tree and tells its id.
    """

    reader: Reader
    write: Callable[[bytes], Oid]

    def into(self, tree: Oid, changes: Sequence[Change]) -> Oid:
        """The tree with the changes made.

        Raises:
            Uneven: The tree lacks a file that the changes start from, or one that they take away.
            MissingObject: The hub lacks a tree.
        """
        top = _Part()
        for change in changes:
            part = top
            *above, name = change.path.split(b"/")
            for folder in above:
                part = part.folders.setdefault(folder, _Part())
            part.files[name] = change
        return self._below(tree, top) or self.write(b"")

    def _below(self, tree: Oid | None, part: _Part) -> Oid | None:
        """The tree of one folder; None when nothing is left in it."""
        before = self.reader.tree(tree) if tree is not None else {}
        now = dict(before)
        # Deletions come first, to make room: a file may become a folder, and the other way round.
        for name, change in part.files.items():
            if change.new is None:
                _put(now, name, change)
        for name, below in part.folders.items():
            have = now.get(name)
            if have is not None and not is_folder(have):
                raise Uneven
            made = self._below(split(have)[1] if have is not None else None, below)
            if made is None:
                now.pop(name, None)
            else:
                now[name] = entry(FOLDER, name, bytes.fromhex(made))
        for name, change in part.files.items():
            if change.new is not None:
                _put(now, name, change)
        if now == before:
            return tree
        if not now:
            return None
        stayed = part.files.keys() & now.keys()
        if now.keys() != before.keys() or any(is_folder(now[name]) != is_folder(before[name]) for name in stayed):
            now = in_order(now)
        made = self.write(b"".join(now.values()))
        self.reader.remember(made, now)
        return made


def _put(entries: dict[bytes, bytes], name: bytes, change: Change) -> None:
    have, new = entries.get(name), _line(name, change.new)
    # A file that both sides took away may have been moved by one of them, which a merge sees.
    if have == new and new is not None:
        return
    if have != _line(name, change.old):
        raise Uneven
    if new is None:
        del entries[name]
    else:
        entries[name] = new


def _line(name: bytes, side: tuple[str, Oid] | None) -> bytes | None:
    return None if side is None else entry(side[0].encode(), name, bytes.fromhex(side[1]))
