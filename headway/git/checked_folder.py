"""Checks the folder of a repository before git reads it: an unpacked archive may hold anything below `.git`.

A clone cannot put links or pipes there, but an archive can. A link could pass another repository of the user off as
this one, and git would wait at a pipe without end.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headway.domain.errors import UserError

_READ = (
    "HEAD",
    "config",
    "config.worktree",
    "packed-refs",
    "shallow",
    "commondir",
    "gitdir",
    "reftable",
    "info/grafts",
)
_WALKED = ("objects", "refs")
_LARGEST = 65_536


def check_folder(folder: Path) -> None:
    """Refuse a repository that takes files from elsewhere, or holds special files.

    Raises:
        UserError: Its `.git` names a repository that does not name it back, or holds links out of it or special files.
        OSError: It cannot be read.
    """
    top = _top_of(folder)
    git_dir = folder if top is None else top / ".git"
    if top is not None and not stat.S_ISDIR(git_dir.lstat().st_mode):
        git_dir = _named_by(git_dir)
        if not _names_back(git_dir, top):
            raise UserError(
                f"repo: {top / '.git'} names the repository {git_dir}, which does not know of {top}",
                f"Name that repository itself: {git_dir}",
            )
    for place in (git_dir, *_common(git_dir)):
        for bad in _bad_files(place):
            raise UserError(
                f"repo: {bad} is a link out of the repository, or no file",
                f"Headway reads no such repository. Name the repository that it was made from, or a clone: "
                f"git clone {folder} NEW-FOLDER",
            )


def _top_of(folder: Path) -> Path | None:
    """The folder whose `.git` git would use, searching upwards; None when git would use one of the folders as it is."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place / ".git"):
            return place
        if all(os.path.lexists(place / name) for name in ("HEAD", *_WALKED)):
            return None
    return None


def _named_by(git_file: Path) -> Path:
    """The git directory that a `.git` file names; linked worktrees and submodules have such files."""
    if stat.S_ISREG(git_file.lstat().st_mode):
        return (git_file.parent / _text(git_file).removeprefix("gitdir:").strip()).resolve()
    return git_file.resolve()


def _names_back(git_dir: Path, top: Path) -> bool:
    """True if the git directory names `top` in turn, as for a linked worktree or a submodule."""
    worktree = git_dir / "gitdir"
    if worktree.is_file() and (git_dir / _text(worktree)).resolve() == (top / ".git").resolve():
        return True
    config = git_dir / "config"
    lines = _text(config).splitlines() if config.is_file() else []
    named = (line.partition("=")[2].strip().strip('"') for line in lines if line.strip().startswith("worktree"))
    return any((git_dir / name).resolve() == top.resolve() for name in named)


def _common(git_dir: Path) -> list[Path]:
    """The git directory of the repository that a linked worktree belongs to; empty for any other repository."""
    noted = git_dir / "commondir"
    if not noted.is_file():
        return []
    common = (git_dir / _text(noted)).resolve()
    if git_dir.resolve().parent != common / "worktrees":
        raise UserError(f"repo: {noted} names the repository {common}", f"Name that repository itself: {common}")
    return [common]


def _text(path: Path) -> str:
    with path.open(errors="surrogateescape") as file:
        return file.read(_LARGEST).strip()


def _bad_files(git_dir: Path) -> Iterator[Path]:
    """Places below a git directory that git would read and that are special files or links out of it."""
    inside = git_dir.resolve()
    for name in _READ:
        place = git_dir / name
        if os.path.lexists(place) and _is_bad(place, inside):
            yield place
    todo = [git_dir / name for name in _WALKED if os.path.lexists(git_dir / name)]
    for place in todo:
        if _is_bad(place, inside):
            yield place
            return
    while todo:
        for entry in _entries(todo.pop()):
            if entry.is_file(follow_symlinks=False):
                continue
            place = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                todo.append(place)
            elif _is_bad(place, inside):
                yield place


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none of one that is gone: each push makes a folder below `objects` and removes it."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_bad(place: Path, inside: Path) -> bool:
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:  # git removed it meanwhile
        return False
    if stat.S_ISLNK(mode):
        target = place.resolve()
        return not target.is_relative_to(inside) or not (target.is_file() or target.is_dir())
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
