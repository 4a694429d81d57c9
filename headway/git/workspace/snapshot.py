"""Snapshots: everything in a workspace that is not on the trunk, kept on a ref of the task, one after the other."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId, Oid
from headway.git.hub import NOBODY, Hub
from headway.git.refs import move_ref, read_ref
from headway.git.settled import settle

if TYPE_CHECKING:
    from headway.git.workspace.workspace import Workspace

WIP = "refs/headway/wip/"
"""Below it the hub keeps the snapshots of each task, by the task's id."""

_TRAILER = re.compile(r"^Headway-(Base|Attempt): (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """One kept state of a workspace.

    Attributes:
        ref: Ref of the task's newest snapshot; the earlier ones are its first parents.
        base: The trunk commit that the files stood on.
        left_out: Paths that it does not hold: repositories inside this one, and files that git cannot take.
    """

    commit: Oid
    ref: str
    base: Oid
    tree: Oid
    attempt: int
    left_out: tuple[str, ...] = ()


def ref_of(task: AgentId) -> str:
    """The ref that keeps the snapshots of a task."""
    return f"{WIP}{task}"


def newest(hub: Hub, task: AgentId) -> Snapshot | None:
    """The newest snapshot of a task, of whichever attempt."""
    ref = ref_of(task)
    commit = read_ref(hub.folder, ref)
    if commit is None:
        return None
    said = hub.repo.run("log", "-1", "--format=%T%n%B", commit).text
    tree, _, message = said.partition("\n")
    facts = dict(_TRAILER.findall(message))
    return Snapshot(commit, ref, Oid(facts["Base"]), Oid(tree), int(facts["Attempt"]))


def snapshot(hub: Hub, workspace: "Workspace", ref_owner: AgentId, check: Callable[[], None]) -> Snapshot | None:
    """Keep everything that the agent changed against the trunk; None when it changed nothing.

    The files, and the agent's own git, are only read. It is on disk when this returns.

    Args:
        hub: The hub that keeps it.
        workspace: The workspace of the files.
        ref_owner: The task that the snapshot belongs to.
        check: Called before the ref moves; raises LeaseLost when the caller may not write any more.
    """
    with workspace.held():
        found = workspace.scan()
        base = workspace.base
        if found.tree == hub.repo.tree_of(base):
            return None
        wanted = Snapshot(base, "", base, found.tree, workspace.attempt, (*found.nested, *found.unreadable))
        return keep(hub, ref_owner, wanted, check, workspace.tree.keep)


def keep(hub: Hub, task: AgentId, wanted: Snapshot, check: Callable[[], None], locks: tuple[int, ...]) -> Snapshot:
    """Put the snapshot `wanted` on top of the task's earlier ones. Returns the newest one if that is the same already.

    `locks` keep all other processes from the ref. Commit and ref of `wanted` are not looked at.
    """
    before = newest(hub, task)
    if before is not None and (before.tree, before.base, before.attempt) == (wanted.tree, wanted.base, wanted.attempt):
        return replace(before, left_out=wanted.left_out)
    parents = [before.commit, wanted.base] if before is not None else [wanted.base]
    message = f"Snapshot of {task}\n\nHeadway-Base: {wanted.base}\nHeadway-Attempt: {wanted.attempt}\n"
    commit = hub.repo.commit(wanted.tree, parents, message, NOBODY)
    settle(hub.repo, wanted.base, wanted.tree, commit)
    check()
    if not move_ref(hub.repo, ref_of(task), commit, before.commit if before is not None else None, locks):
        raise TransientError(f"{ref_of(task)} was moved by another process")
    return replace(wanted, commit=commit, ref=ref_of(task))
