"""Changes that the user's `setup` left in files that are not ignored. They count as an agent's once it touches them."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, Entry, entries, shown, with_entries
from headway.git.repo import Repo
from headway.git.workspace.scan import Scan
from headway.system.files import write_whole

_NOTE = "made.json"


class SetupChanges(BaseModel):
    """Changes that `setup` left in files that stood on a tree.

    Attributes:
        before: The tree.
        after: The tree with the changes of `setup` and none of an agent.
        nested: Folders that `setup` left with a repository of their own.
        unreadable: Files that `setup` left and git cannot take.
    """

    model_config = ConfigDict(frozen=True)

    before: Oid
    after: Oid
    nested: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def names(self, repo: Repo) -> tuple[str, ...]:
        """All changed paths as an agent reads them, sorted."""
        paths = (shown(entry.path) for entry in _entries(repo, self.before, self.after))
        return tuple(sorted((*paths, *self.nested, *self.unreadable)))


def load_setup_changes(home: Path) -> SetupChanges | None:
    """The note of the changes that `setup` left in a workspace; None when it did not run there.

    A torn note counts as none: after a crash of the machine the workspace is made anew.
    """
    try:
        return SetupChanges.model_validate_json((home / _NOTE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def store_setup_changes(home: Path, made: SetupChanges) -> None:
    """Note the changes that `setup` left in a workspace."""
    write_whole(home / _NOTE, made.model_dump_json().encode(), synced=False)


def left_by_setup(repo: Repo, base: Oid, filled: Oid, found: Scan) -> SetupChanges:
    """The changes of `setup` in files that stand on the tree `base` and held the tree `filled` before it ran.

    A path in which `filled` differs from `base` is an agent's, also where `setup` changed it again.
    """
    agents = {entry.path for entry in _entries(repo, base, filled)}
    after = _reverted(repo, found.files, [e for e in _entries(repo, base, found.files) if e.path in agents])
    return SetupChanges(before=base, after=after, nested=found.nested, unreadable=found.unreadable)


def without(repo: Repo, base: Oid, found: Scan, made: SetupChanges | None) -> Scan:
    """The scan whose `tree` has only the agent's changes: files that are as `setup` left them are as in `base`."""
    if made is None:
        return found
    return replace(
        found,
        tree=agents_tree(repo, base, found.files, made),
        nested=tuple(path for path in found.nested if path not in made.nested),
        unreadable=tuple(path for path in found.unreadable if path not in made.unreadable),
    )


def agents_tree(repo: Repo, base: Oid, files: Oid, made: SetupChanges | None) -> Oid:
    """The tree `base` with the agent's changes alone; `files` also has those of `setup`."""
    if made is None or made.before == made.after:
        return files
    return _agents_tree(Repo(repo.git_dir), base, files, made)


@lru_cache(maxsize=64)
def _agents_tree(repo: Repo, base: Oid, files: Oid, made: SetupChanges) -> Oid:
    return _reverted(repo, files, _untouched(repo, base, files, made))


def giving_way(repo: Repo, base: Oid, stand: Oid, files: Oid, made: SetupChanges | None) -> Oid:
    """The tree `files` without the changes of `setup` to paths in which the tree `stand` differs from `base`."""
    if made is None or made.before == made.after:
        return files
    newer = {entry.path for entry in _entries(repo, base, stand)}
    return _reverted(repo, files, [entry for entry in _untouched(repo, base, files, made) if entry.path in newer])


def _untouched(repo: Repo, base: Oid, files: Oid, made: SetupChanges) -> list[Entry]:
    """The differences between `base` and `files` that are exactly as `setup` left them."""
    left = set(_entries(repo, made.before, made.after))
    return [entry for entry in _entries(repo, base, files) if entry in left]


def _reverted(repo: Repo, files: Oid, changes: list[Entry]) -> Oid:
    """The tree `files` without these changes."""
    return with_entries(repo, files, [_line(entry) for entry in changes]) if changes else files


def _line(entry: Entry) -> str:
    mode = "0" if entry.old_mode == NO_MODE else entry.old_mode
    return f"{mode} {entry.old_oid}\t{entry.path}"


def _entries(repo: Repo, old: Oid, new: Oid) -> tuple[Entry, ...]:
    return _entries_of(Repo(repo.git_dir), old, new) if old != new else ()


@lru_cache(maxsize=64)
def _entries_of(repo: Repo, old: Oid, new: Oid) -> tuple[Entry, ...]:
    return tuple(entries(repo, old, new))
