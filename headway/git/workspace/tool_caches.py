"""Caches of language tools: folders that tools write and that do not belong on the trunk. They are treated as ignored
files are.

Only untracked files count, and only in folders in which the repository tracks nothing: where it does, its author means
the folder. A name alone is not enough where people use it for sources too, as `target`.
"""

import os
from collections.abc import Iterable

from headway.domain.ids import Oid
from headway.git.repo import Repo

BY_NAME = frozenset({b"__pycache__", b"node_modules", b".pytest_cache", b".mypy_cache", b".ruff_cache", b".tox"})
MARKED = (b"CACHEDIR.TAG", b"pyvenv.cfg")
"""Files by which a tool marks a folder of its own: the standard of cache folders, and virtual environments."""
BUILD_FILES = (b"Cargo.toml", b"pom.xml", b"build.sbt")
"""Beside one of them, `target` holds build outputs."""


def caches_among(tree: Repo, base: Oid, top: bytes, untracked: Iterable[bytes]) -> frozenset[bytes]:
    """The folders of language tools among these untracked paths, in which the tree `base` has nothing."""
    known: dict[bytes, bool] = {}
    found = {folder for path in untracked for folder in (_cache_above(top, path, known), _built_beside(top, path))}
    found.discard(b"")
    if not found:
        return frozenset()
    names = [os.fsdecode(folder) for folder in sorted(found)]
    tracked = tree.run("ls-tree", "-r", "-z", "--name-only", base, "--", *names).out.split(b"\0")
    return frozenset(
        folder for folder in found if not any(below(path, frozenset({folder})) for path in tracked if path)
    )


def indexed_below(tree: Repo, folders: frozenset[bytes]) -> set[bytes]:
    """Paths of the index in these folders: an earlier scan took them in, before a tool marked the folder as its own."""
    if not folders:
        return set()
    names = [os.fsdecode(folder) for folder in sorted(folders)]
    return set(filter(None, tree.run("ls-files", "-z", "--", *names).out.split(b"\0")))


def below(path: bytes, folders: frozenset[bytes]) -> bool:
    """True if a path is one of the folders, or lies in one."""
    parts = path.rstrip(b"/").split(b"/")
    return any(b"/".join(parts[:count]) in folders for count in range(1, len(parts) + 1))


def _cache_above(top: bytes, path: bytes, known: dict[bytes, bool]) -> bytes:
    """The topmost folder of a tool in which a path lies; empty where there is none."""
    parts = path.rstrip(b"/").split(b"/")
    # A nested repository is listed by its folder alone, which may be the cache itself.
    for count in range(1, len(parts) + path.endswith(b"/")):
        folder = b"/".join(parts[:count])
        if folder not in known:
            known[folder] = _is_cache(top, folder)
        if known[folder]:
            return folder
    return b""


def _built_beside(top: bytes, path: bytes) -> bytes:
    """The build outputs next to a new build file, which may have been there before it."""
    above, _, name = path.rpartition(b"/")
    folder = above + b"/target" if above else b"target"
    return folder if name in BUILD_FILES and _stands(top, folder) else b""


def _is_cache(top: bytes, folder: bytes) -> bool:
    above, _, name = folder.rpartition(b"/")
    if name in BY_NAME or any(_stands(top, folder, mark) for mark in MARKED):
        return True
    return name == b"target" and any(_stands(top, above, file) for file in BUILD_FILES)


def _stands(*parts: bytes) -> bool:
    return os.path.lexists(os.path.join(*parts))  # noqa: PTH118 - bytes, which Path does not take
