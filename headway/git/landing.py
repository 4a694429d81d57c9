"""Landing: a workspace's change becomes one commit on the trunk, or goes back to its author with the conflict."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from headway.domain.ids import Oid
from headway.git import snapshot
from headway.git.changes import Scan
from headway.git.files import locked
from headway.git.hub import NOBODY, TRUNK, Hub
from headway.git.landed import LandedCommit, landed_since, landing_of
from headway.git.merging import Conflict, Merged, marked, merge_commits, merge_trees, with_labels
from headway.git.repo import GitError
from headway.git.standing import Answered, Asked, Move, Pending
from headway.git.submission import Submission, chosen, doubtful
from headway.git.workspace import Workspace

__all__ = ["Conflicted", "Landed", "Landing", "LandingOutcome", "NothingToLand", "Refused", "Submission"]

_OTHERS = 1_000
_RACES = 5
_LOCK_WAIT_S = 2.0


@dataclass(frozen=True)
class Landed:
    """The change is on the trunk.

    Attributes:
        commit: The commit that it became.
        trunk: Where the workspace stands now.
        others: Paths that others changed since the commit it stood on, at most 1,000.
        conflicted: Paths of what was left unlanded that conflict with the trunk, and hold markers now.
    """

    commit: Oid
    trunk: Oid
    others: tuple[str, ...] = ()
    conflicted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conflicted:
    """Others changed the same; the workspace stands on the new trunk and holds both, with zdiff3 markers.

    Attributes:
        kinds: How each of `paths` conflicts, in git's words. A `binary` file is left as the trunk has it.
        rivals: The landed commits that touched those paths meanwhile, oldest first.
        rounds: How many times in a row the task has conflicted now.
    """

    paths: tuple[str, ...]
    kinds: tuple[str, ...]
    trunk: Oid
    rivals: tuple[LandedCommit, ...]
    rounds: int


@dataclass(frozen=True)
class NothingToLand:
    """The files are those of the trunk already; `trunk` is where the workspace stands."""

    trunk: Oid


@dataclass(frozen=True)
class Refused:
    """The change does not land as it is. `doubtful`: it will, when it is asked for again on purpose."""

    reason: str
    paths: tuple[str, ...]
    doubtful: bool = False


LandingOutcome = Landed | Conflicted | NothingToLand | Refused


@dataclass(frozen=True)
class _Taken:
    """What the trunk did with a submission, under its lock; `commit` is None when nothing was left to land."""

    commit: Oid | None
    tip: Oid
    conflicts: Merged | None = None


class Landing:
    """Puts changes on the trunk of `hub`: first come, first served, with nothing slow under the lock."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def land(self, workspace: Workspace, submission: Submission, check_lease: Callable[[], None]) -> LandingOutcome:
        """Land what the workspace's files change against the commit it stands on.

        A call that is repeated after a crash gets the answer it would have got, and lands once.

        Raises:
            LeaseLost: From `check_lease`, called with the trunk locked: nothing moved.
            ToolError: The message is empty, or one of the paths names nothing.
        """
        with workspace.held():
            asked = Asked(message=submission.message, paths=submission.paths, place=submission.place)
            adopted = self._adopt(workspace, submission)
            if adopted is not None and adopted.asked == asked:
                return _told(adopted)
            found = workspace.scan()
            last = workspace.standing().last
            if last is not None and last.asked == asked and last.tree == found.tree:
                return _told(last)
            base = workspace.base
            tree = chosen(self.hub.repo, base, found.tree, submission.paths)
            refused = self._refusal(workspace, found, tree, submission)
            if refused is not None:
                return refused
            if tree == self.hub.repo.tree_of(base):
                return NothingToLand(base)
            pending = Pending(asked=asked, mark=submission.mark(base, tree), tree=tree)
            # Whoever finds this note after a kill looks on the trunk for its mark.
            workspace.note(workspace.standing().model_copy(update={"pending": pending}))
            taken = self._take(base, pending, submission, check_lease)
            if taken.conflicts is not None:
                return self._give_back(workspace, found.tree, pending, taken)
            return self._settle(workspace, found.tree, pending, taken)

    def _refusal(self, workspace: Workspace, found: Scan, tree: Oid, submission: Submission) -> Refused | None:
        within = submission.paths
        nested = [p for p in found.nested if within is None or any((p + "/").startswith(q + "/") for q in within)]
        if nested:
            reason = "these folders are repositories of their own: delete their .git, or have .gitignore name them"
            return Refused(reason, tuple(nested))
        still = marked(self.hub.repo, tree, workspace.standing().conflicted)
        if still:
            return Refused("conflict markers are left in these files: resolve them and land again", tuple(still))
        doubts = {} if submission.accept_doubtful else doubtful(self.hub.repo, workspace.base, tree)
        if doubts:
            kinds = ", ".join(sorted(set(doubts.values())))
            reason = f"these files look as if they should not land ({kinds})"
            return Refused(reason, tuple(doubts), doubtful=True)
        return None

    def _take(self, base: Oid, pending: Pending, submission: Submission, check: Callable[[], None]) -> _Taken:
        """Put the pending tree on the trunk. Only reading the tip, merging and moving the ref happen under the lock."""
        message = submission.text(pending.mark)
        side = self.hub.repo.commit(pending.tree, (base,), "submission", NOBODY)
        with locked(self.hub.folder / "land.flock") as lock:
            check()
            for _ in range(_RACES):
                tip = self.hub.tip()
                landed = landing_of(self.hub.repo, base, tip, submission.task, pending.mark) if tip != base else None
                if landed is not None:
                    return _Taken(landed, tip)
                merged = Merged(pending.tree, ()) if tip == base else merge_commits(self.hub.repo, tip, side)
                if merged.conflicts:
                    return _Taken(None, tip, merged)
                if merged.tree == self.hub.repo.tree_of(tip):
                    return _Taken(None, tip)
                commit = self.hub.repo.commit(merged.tree, (tip,), message, submission.author)
                if self._move_trunk(commit, tip, lock):
                    return _Taken(commit, tip)
        raise GitError(["update-ref"], 1, "the trunk is moved by others without its lock")

    def _move_trunk(self, to: Oid, tip: Oid, lock: int) -> bool:
        try:
            # The process holds our lock too: should we die now, nobody goes on before it is done.
            self.hub.move_ref(TRUNK, to, tip, keep=(lock,))
        except GitError as error:
            if ".lock': File exists" in error.err:
                _clear_stale_lock(self.hub)
            elif "is at" not in error.err and "expected" not in error.err:
                raise
            return False
        return True

    def _settle(self, workspace: Workspace, now: Oid, pending: Pending, taken: _Taken) -> LandingOutcome:
        """Bring the workspace to where its change is on the trunk; what did not land stays in it."""
        repo, base = self.hub.repo, workspace.base
        stand = taken.commit or taken.tip
        parent = repo.resolve(f"{stand}^") if taken.commit else stand
        others = tuple(self.hub.changed_paths(base, parent or base)[:_OTHERS])
        for _ in range(_RACES):
            rest = with_labels(repo, merge_trees(repo, pending.tree, repo.tree_of(stand), now))
            conflicted = tuple(conflict.path for conflict in rest.conflicts)
            answer: LandingOutcome = NothingToLand(stand)
            last = None
            if taken.commit:
                answer = Landed(stand, stand, others, conflicted)
                last = Answered(asked=pending.asked, kind="landed", tree=rest.tree, answer=asdict(answer))
            if workspace.move(now, Move(tree=rest.tree, commit=stand, conflicted=conflicted, answer=last)):
                self._keep(workspace, rest.tree, stand)
                return answer
            now = workspace.scan().tree
        raise GitError(["read-tree"], 1, f"files in {workspace.path} change all the time; stop what writes them")

    def _give_back(self, workspace: Workspace, now: Oid, pending: Pending, taken: _Taken) -> Conflicted:
        """Bring the workspace to the trunk with all of its changes merged in, markers where they conflict."""
        assert taken.conflicts is not None
        repo, base = self.hub.repo, workspace.base
        rounds = workspace.standing().rounds + 1
        named = _kinds(self.hub, taken.conflicts.conflicts, taken.tip, pending.tree)
        paths = tuple(named)
        rivals = tuple(landed_since(repo, base, taken.tip, paths))
        answer = Conflicted(paths, tuple(named.values()), taken.tip, rivals, rounds)
        for _ in range(_RACES):
            whole = with_labels(repo, merge_trees(repo, repo.tree_of(base), repo.tree_of(taken.tip), now))
            marks = tuple(sorted({*paths, *(conflict.path for conflict in whole.conflicts)}))
            last = Answered(asked=pending.asked, kind="conflicted", tree=whole.tree, answer=asdict(answer))
            move = Move(tree=whole.tree, commit=taken.tip, conflicted=marks, rounds=rounds, answer=last)
            if workspace.move(now, move):
                self._keep(workspace, whole.tree, taken.tip)
                return answer
            now = workspace.scan().tree
        raise GitError(["read-tree"], 1, f"files in {workspace.path} change all the time; stop what writes them")

    def _adopt(self, workspace: Workspace, submission: Submission) -> Answered | None:
        """Finish a landing whose holder was killed after the trunk moved; returns what it would have answered."""
        standing = workspace.standing()
        if standing.pending is None:
            return None
        tip = self.hub.tip()
        commit = landing_of(self.hub.repo, standing.base, tip, submission.task, standing.pending.mark)
        if commit is None:
            return None
        self._settle(workspace, workspace.scan().tree, standing.pending, _Taken(commit, tip))
        return workspace.standing().last

    def _keep(self, workspace: Workspace, tree: Oid, base: Oid) -> None:
        """Have the newest snapshot, if there is one, say what the workspace holds now instead of what has landed."""
        before = snapshot.newest(self.hub, workspace.task)
        if before is not None and before.attempt == workspace.attempt:
            wanted = snapshot.Snapshot(base, "", base, tree, workspace.attempt)
            snapshot.keep(self.hub, workspace.task, wanted, lambda: None)


def _told(answered: Answered) -> LandingOutcome:
    if answered.kind == "landed":
        return TypeAdapter(Landed).validate_python(answered.answer)
    return TypeAdapter(Conflicted).validate_python(answered.answer)


def _kinds(hub: Hub, conflicts: tuple[Conflict, ...], tip: Oid, tree: Oid) -> dict[str, str]:
    said = hub.repo.run("diff-tree", "-r", "-z", "--no-renames", "--numstat", tip, tree).out
    rows = (row.split("\t", 2) for row in said.decode(errors="surrogateescape").split("\0") if row)
    binary = {path for added, _, path in rows if added == "-"}
    return {c.path: "binary" if c.path in binary and c.kind == "contents" else c.kind for c in conflicts}


def _clear_stale_lock(hub: Hub) -> None:
    """Remove the lock that a killed git process left on the trunk's ref.

    Who holds the landing lock is alone, but for somebody who pushes to the hub by hand. Such a lock changes or goes
    away; one that stays the same for two seconds has no holder.
    """
    path = hub.folder / f"{TRUNK}.lock"
    try:
        seen = path.stat()
        until = time.monotonic() + _LOCK_WAIT_S
        while time.monotonic() < until:
            now = path.stat()
            if (now.st_ino, now.st_mtime_ns) != (seen.st_ino, seen.st_mtime_ns):
                return
            time.sleep(0.05)
        os.unlink(path)  # noqa: PTH108 - the same call, named as what it does
    except FileNotFoundError:
        return
