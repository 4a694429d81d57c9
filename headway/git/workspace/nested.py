"""Repositories that agents made inside a workspace: their files are kept on a ref of the task when the workspace goes.

They are no part of this repository and never land. Tools such as `cargo new` begin one for new work, so their files may
be all that an agent made. Their own history and their ignored files are not kept.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId
from headway.git.hub import NOBODY, Hub
from headway.git.refs import move_ref, read_ref
from headway.git.repo import Repo
from headway.git.settled import settle
from headway.git.workspace.rules_files import patiently
from headway.git.workspace.scan import take_in

REF = "refs/headway/nested/"
"""Below it the hub keeps the files of repositories inside workspaces, by the task's id."""

MOST_FILES = 20_000
MOST_BYTES = 256 << 20


def keep_nested(hub: Hub, tree: Repo, task: AgentId, folders: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Put the files of the repositories at `folders` on the task's ref, on top of the files of an earlier workspace.

    Args:
        hub: The hub that keeps them.
        tree: The hub with the work tree.
        task: The owner of the ref.
        folders: Paths in the work tree.

    Returns:
        Those of them that are over 20,000 files or 256 MB, which are copies of something and not kept.
    """
    assert tree.work_tree is not None
    large = []
    with TemporaryDirectory(prefix="nested-", dir=hub.folder) as folder:
        index = replace(tree, index=Path(folder) / "index")
        empty = index.run("write-tree").oid
        for name in folders:
            files = {name + b"/" + path for path in _files(index, os.fsencode(tree.work_tree) + b"/" + name)}
            if len(files) > MOST_FILES or _size(os.fsencode(tree.work_tree), files) > MOST_BYTES:
                large.append(name)
            else:
                take_in(index, files)
        made = index.run("write-tree").oid
    if made == empty:
        return tuple(large)
    ref = f"{REF}{task}"
    before = read_ref(hub.folder, ref)
    if before is None or hub.repo.tree_of(before) != made:
        parents = (before,) if before is not None else ()
        commit = hub.repo.commit(made, parents, f"Repositories in the workspace of {task}\n", NOBODY)
        settle(hub.repo, empty, made, commit)
        if not move_ref(hub.repo, ref, commit, before, tree.keep):
            raise TransientError(f"{ref} was moved by another process")
    return tuple(large)


def _files(index: Repo, top: bytes) -> Iterator[bytes]:
    """Files of a repository, and of those inside it, relative to its top. No process runs by its configuration."""
    at = replace(index, work_tree=Path(os.fsdecode(top)))
    listed = patiently(at, "ls-files", "-z", "--others", "--exclude-standard").out
    for path in filter(None, listed.split(b"\0")):
        if path.endswith(b"/"):
            yield from (path + below for below in _files(index, top + b"/" + path.rstrip(b"/")))
        else:
            yield path


def _size(top: bytes, files: set[bytes]) -> int:
    return sum(os.lstat(os.path.join(top, path)).st_size for path in files)  # noqa: PTH118 - bytes
