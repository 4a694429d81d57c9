"""Runs git in a work tree whose rules files, `.gitignore` and `.gitattributes`, an agent may have written.

Git takes such a file in whole, and opens a pipe in its place. So an agent could block every git that looks at its
files, or have it take any amount of memory, which does not count as the agent's own.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from headway.domain.errors import TransientError
from headway.git.attributes import LARGEST
from headway.git.git_process import GitError, GitOutput
from headway.git.repo import WORK_TREE_MB, Repo
from headway.system.walk import Place, walk

PATIENCE_S = 600.0
"""Longer than git takes for any honest work tree. An agent can make one that git never finishes reading."""

QUICK_S = 10.0
"""After this time git may be waiting at a pipe."""

NAMES = frozenset({".gitignore", ".gitattributes"})
_NAMED = 5
TOO_LARGE = ".too-large"
"""The ending that the name of a rules file gets when git is not to read it."""

FIRST_MB = 128
"""Memory of the first try in megabytes, besides that of its index. It suffices without absurd rules and conversions."""

_LARGEST_OF_MANY = 10_000
"""The same where many files are too large together: git holds those of a folder and of all folders above it."""


class RulesSetAside(TransientError):
    """Rules files of absurd length were in git's way and got another name. The work tree has to be read again."""


def patiently(tree: Repo, *args: str, stdin: bytes = b"", ok: Sequence[int] | None = (0,)) -> GitOutput:
    """Run a git that reads rules files in the work tree.

    If it does not end in time or within its memory, pipes and files of absurd length are taken out of its way; see
    `set_aside`. Where there were none, it is run again with more time and memory. So the command must have the same
    effect when it runs twice.

    Raises:
        RulesSetAside: A file got another name.
        GitError: It failed in another way, or still does not end.
    """
    first = (QUICK_S, FIRST_MB + _index_mb(tree.index), LARGEST)
    for timeout_s, memory_mb, largest in (first, (PATIENCE_S, WORK_TREE_MB, _LARGEST_OF_MANY)):
        try:
            return tree.run(*args, stdin=stdin, ok=ok, timeout_s=timeout_s, memory_mb=memory_mb)
        except GitError as error:
            if not error.exhausted:
                raise
            renamed = set_aside(tree.work_tree or Path(), largest if error.starved else None)
        if tree.index is not None:
            # The killed git held this lock. The caller holds the workspace, so no other git can.
            Path(f"{tree.index}.lock").unlink(missing_ok=True)
        if renamed:
            raise RulesSetAside(f"git cannot read rules of this length; now named {', '.join(renamed[:_NAMED])}")
    return tree.run(*args, stdin=stdin, ok=ok, timeout_s=PATIENCE_S)


def _index_mb(index: Path | None) -> int:
    """Memory that git may take for an index, in megabytes: for each entry about twice its bytes in the file."""
    size = index.stat().st_size if index is not None and index.exists() else 0
    return (4 * size >> 20) + 1


def set_aside(top: Path, largest: int | None) -> list[str]:
    """Take files that git cannot read as rules out of its way.

    Pipes are deleted: they hold no work. Files of more than `largest` bytes get another name, which says why; returns
    the new names.
    """
    renamed = []
    for place in walk(top):
        for name in NAMES.intersection(place.names):
            # Two of our git processes may be held up at once.
            with suppress(FileNotFoundError):
                other = _set_aside(place, name, largest)
                renamed += [f"{place.path}/{other}".removeprefix("/")] if other else []
    return renamed


def _set_aside(place: Place, name: str, largest: int | None) -> str | None:
    found = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
    if stat.S_ISFIFO(found.st_mode):
        os.unlink(name, dir_fd=place.fd)
    elif largest is not None and stat.S_ISREG(found.st_mode) and found.st_size > largest:
        other = _other_name(name, place.names)
        os.rename(name, other, src_dir_fd=place.fd, dst_dir_fd=place.fd)
        return other
    return None


def _other_name(name: str, taken: Sequence[str]) -> str:
    other = f"{name}{TOO_LARGE}"
    return f"{other}-{os.urandom(4).hex()}" if other in taken else other


def was_set_aside(path: str) -> bool:
    """True if a path is the other name of a rules file."""
    name, ending, _ = path.rpartition("/")[2].partition(TOO_LARGE)
    return bool(ending) and name in NAMES
