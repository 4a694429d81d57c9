"""What the user's `setup` changed or made that nothing ignores: no agent's change until an agent touches it."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, Entry, entries, shown
from headway.git.merging import with_entries
from headway.git.repo import Repo
from headway.git.scan import Scan
from headway.system.files import write_whole

_NOTE = "made.json"


class Made(BaseModel):
    """What `setup` left in files that stood on a tree.

    Attributes:
        before: The tree.
        after: The tree with all that `setup` changed or made and no agent did.
        nested: Folders with a repository of their own that it left.
        unreadable: Files that git cannot take that it left.
    """

    model_config = ConfigDict(frozen=True)

    before: Oid
    after: Oid
    nested: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def names(self, repo: Repo) -> tuple[str, ...]:
        """All of it, as an agent reads it, sorted."""
        paths = (shown(entry.path) for entry in _entries(repo, self.before, self.after))
        return tuple(sorted((*paths, *self.nested, *self.unreadable)))


def load_made(home: Path) -> Made | None:
    """What `setup` left in a workspace, when it ran there. After a crash of the machine the workspace is made anew."""
    try:
        return Made.model_validate_json((home / _NOTE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def store_made(home: Path, made: Made) -> None:
    """Note what `setup` left in a workspace."""
    write_whole(home / _NOTE, made.model_dump_json().encode(), synced=False)


def left_by_setup(repo: Repo, base: Oid, filled: Oid, found: Scan) -> Made:
    """What `setup` left in files that held the tree `filled` before and stand on the tree `base`.

    A path in which `filled` differs from `base` is an agent's, whatever `setup` made of it again.
    """
    agents = {entry.path for entry in _entries(repo, base, filled)}
    after = _reverted(repo, found.files, [e for e in _entries(repo, base, found.files) if e.path in agents])
    return Made(before=base, after=after, nested=found.nested, unreadable=found.unreadable)


def without(repo: Repo, base: Oid, found: Scan, made: Made | None) -> Scan:
    """A scan with the agent's changes apart: what is as `setup` left it is as in `base`, a tree."""
    if made is None:
        return found
    return replace(
        found,
        tree=agents_tree(repo, base, found.files, made),
        nested=tuple(path for path in found.nested if path not in made.nested),
        unreadable=tuple(path for path in found.unreadable if path not in made.unreadable),
    )


def agents_tree(repo: Repo, base: Oid, files: Oid, made: Made | None) -> Oid:
    """The tree `base` with what the agent changed, of files that differ from it by what `setup` left too."""
    if made is None or made.before == made.after:
        return files
    return _agents_tree(Repo(repo.git_dir), base, files, made)


@lru_cache(maxsize=64)
def _agents_tree(repo: Repo, base: Oid, files: Oid, made: Made) -> Oid:
    return _reverted(repo, files, _untouched(repo, base, files, made))


def giving_way(repo: Repo, base: Oid, stand: Oid, files: Oid, made: Made | None) -> Oid:
    """The tree `files`, in which what `setup` left is as in `base` wherever the tree `stand` has something newer."""
    if made is None or made.before == made.after:
        return files
    newer = {entry.path for entry in _entries(repo, base, stand)}
    return _reverted(repo, files, [entry for entry in _untouched(repo, base, files, made) if entry.path in newer])


def _untouched(repo: Repo, base: Oid, files: Oid, made: Made) -> list[Entry]:
    """What differs between the trees `base` and `files` as `setup` left it, and in nothing else."""
    left = set(_entries(repo, made.before, made.after))
    return [entry for entry in _entries(repo, base, files) if entry in left]


def _reverted(repo: Repo, files: Oid, changes: list[Entry]) -> Oid:
    """The tree `files` without some of its changes."""
    return with_entries(repo, files, [_line(entry) for entry in changes]) if changes else files


def _line(entry: Entry) -> str:
    mode = "0" if entry.old_mode == NO_MODE else entry.old_mode
    return f"{mode} {entry.old_oid}\t{entry.path}"


def _entries(repo: Repo, old: Oid, new: Oid) -> tuple[Entry, ...]:
    return _entries_of(Repo(repo.git_dir), old, new) if old != new else ()


@lru_cache(maxsize=64)
def _entries_of(repo: Repo, old: Oid, new: Oid) -> tuple[Entry, ...]:
    return tuple(entries(repo, old, new))
