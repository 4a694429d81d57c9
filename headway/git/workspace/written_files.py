"""Files as a checkout writes them: finding those that still hold those bytes, and moving them from one tree to another.

Git may convert files on checkout (`text`, `eol`, `ident`, `working-tree-encoding`), by the tree's `.gitattributes`.
"""

import filecmp
import os
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.domain.ids import Oid
from headway.git.attributes import RULES_FILE
from headway.git.changes import changed_paths, with_nul
from headway.git.repo import Repo

_CONVERSIONS = ("text", "crlf", "eol", "ident", "working-tree-encoding")


def as_written(tree: Repo, index: Path, paths: Iterable[bytes]) -> frozenset[bytes]:
    """Those of `paths` whose bytes in the work tree are the ones that a checkout of `index` writes."""
    asked = sorted(paths)
    if not asked or tree.work_tree is None:
        return frozenset()
    with TemporaryDirectory(prefix="checkout-", dir=index.parent) as folder:
        # Into an empty work tree: there git takes the rules from the index, not from files that an agent changed.
        _write(replace(tree, work_tree=Path(folder), index=index), asked)
        return frozenset(path for path in asked if _same_file(os.fsencode(folder), os.fsencode(tree.work_tree), path))


def _write(tree: Repo, paths: Collection[bytes], *options: str) -> None:
    tree.run("checkout-index", "-f", "-q", *options, "-z", "--stdin", stdin=with_nul(paths))


def _same_file(one: bytes, two: bytes, path: bytes) -> bool:
    first, second = (os.path.join(top, path) for top in (one, two))  # noqa: PTH118 - bytes, which Path does not take
    try:
        regular = all(stat.S_ISREG(os.lstat(place).st_mode) for place in (first, second))
        return regular and filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False


def catch_up(repo: Repo, now: Oid, to: Oid) -> None:
    """Bring files that stand on the tree `now`, and their index, to the tree `to`.

    Changes that `setup` made are overwritten where the trees differ, and stay elsewhere.
    """
    if now == to:
        return
    touched = _touched(repo) if _ruled_anew(repo, now, to) else set()
    step = ("read-tree", "-m", "-u", now, to)
    if repo.run(*step, ok=None).code:
        make_way(repo, changed_paths(repo, now, to))
        if repo.run(*step, ok=None).code:
            repo.run("read-tree", "--reset", "-u", to)
    renew(repo, now, to, touched)


def make_way(repo: Repo, paths: Iterable[bytes]) -> None:
    """Delete files of the work tree that git is about to write anew."""
    top = os.fsencode(repo.work_tree or Path())
    for path in paths:
        with suppress(OSError):
            os.unlink(os.path.join(top, path))  # noqa: PTH108, PTH118 - bytes


def write_again(repo: Repo, paths: Collection[bytes]) -> None:
    """Write files of the index anew, without those that were written since it was."""
    paths = set(paths) - _written_since(repo) if paths else ()
    if paths:
        make_way(repo, paths)
        _write(repo, paths, "-u")


def _written_since(repo: Repo) -> set[bytes]:
    """Files whose stat data are not those of the index."""
    # Without the option an agent's `.gitmodules` could have git start another one inside a submodule.
    return set(repo.run("diff-files", "-z", "--name-only", "--ignore-submodules=dirty").out.split(b"\0")) - {b""}


def renew(repo: Repo, old: Oid, new: Oid, leave: Collection[bytes] = ()) -> None:
    """Rewrite the files that are as in `new` already, but that a checkout of it writes differently.

    Git leaves such files alone when only `.gitattributes` changes: untouched ones, and those that an agent has just
    landed next to that change. From then on they would look like changes.

    Args:
        repo: The hub with the work tree and its index.
        old: The tree by whose rules the files were written.
        new: The tree whose rules apply now.
        leave: Paths that are not as in `new`. They are never rewritten.
    """
    folders = tuple(_ruled_anew(repo, old, new))
    if not folders:
        return
    listed = repo.run("ls-files", "-z").out.split(b"\0")
    # The list ends with a separator, so its last part is empty.
    asked = sorted({path for path in listed if path.startswith(folders)} - {b"", *leave})
    differ = _rules_of(repo, old, asked) ^ _rules_of(repo, new, asked)
    paths = sorted({path for path, _, _ in differ})
    if paths:
        make_way(repo, paths)
        _write(repo, paths, "-u")


def _ruled_anew(repo: Repo, old: Oid, new: Oid) -> set[bytes]:
    """Folders, each with its last slash, whose `.gitattributes` differ between two trees."""
    return {
        path[: -len(RULES_FILE)] for path in changed_paths(repo, old, new) if path.rpartition(b"/")[2] == RULES_FILE
    }


def _touched(repo: Repo) -> set[bytes]:
    """Files that are not as the checkout of the index wrote them."""
    differ = _written_since(repo)
    assert repo.index is not None
    return differ - as_written(repo, repo.index, differ)


def _rules_of(repo: Repo, tree: Oid, paths: Collection[bytes]) -> set[tuple[bytes, bytes, bytes]]:
    """The conversions that a tree's rules ask for, as path, attribute and value."""
    assert repo.index is not None
    with TemporaryDirectory(prefix="rules-", dir=repo.index.parent) as folder:
        at = replace(repo, index=Path(folder) / "index")
        at.run("read-tree", tree)
        said = at.run("check-attr", "--cached", "-z", "--stdin", *_CONVERSIONS, stdin=with_nul(paths)).out.split(b"\0")
    return set(zip(said[0::3], said[1::3], said[2::3], strict=False))
