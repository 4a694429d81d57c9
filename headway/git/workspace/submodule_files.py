"""Files that an agent wrote into a submodule that was not fetched: they are part of no repository and cannot land."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.changes import SUBMODULE, shown
from headway.git.repo import Repo
from headway.git.repository_rules import RepositoryRules
from headway.system.walk import walk

_MOST = 100


def in_submodules(repo: Repo, rules: RepositoryRules, commit: Oid, top: Path) -> tuple[str, ...]:
    """Files below `top` that lie in a submodule of `commit` that was not fetched there; at most 100."""
    here = [name for name in rules.submodules if _is_folder(top, name)]
    if not here:
        return ()
    said = repo.run("ls-tree", "-z", commit, "--", *here).out.decode(errors="surrogateescape").split("\0")
    still = (line.partition("\t")[2] for line in said if line.startswith(SUBMODULE))
    found: list[str] = []
    for name in still:
        for path in _files_below(top / name):
            if len(found) == _MOST:
                return tuple(found)
            found.append(shown(str(path.relative_to(top))))
    return tuple(found)


def _is_folder(top: Path, name: str) -> bool:
    # Each folder of the path by `lstat`, because an agent may have put a link there.
    place = top
    for part in name.split("/"):
        place /= part
        try:
            mode = place.lstat().st_mode
        except OSError:
            return False
        if not stat.S_ISDIR(mode):
            return False
    return True


def _files_below(folder: Path) -> Iterator[Path]:
    if os.path.lexists(folder / ".git"):
        # It was fetched, so its own git looks after its files.
        return
    for place in walk(folder):
        yield from (folder / place.path / name for name in sorted(place.names))
