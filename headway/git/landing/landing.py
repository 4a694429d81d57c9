"""Landing: a workspace's change becomes one commit on the trunk, or goes back to its author with the conflict."""

from collections.abc import Callable
from dataclasses import dataclass

from headway.domain.errors import HeadwayError, LeaseLost, TransientError
from headway.domain.ids import Fence, Oid
from headway.git.changes import Entry, changes_of, entries, shown
from headway.git.hub import Hub
from headway.git.landed import landed_since
from headway.git.landing.bounded_merge import merge_trees
from headway.git.landing.landing_outcome import (
    Conflicted,
    Landed,
    LandingOutcome,
    LandingRefused,
    NothingToLand,
    noted,
    told,
)
from headway.git.landing.landing_queue import queue_of
from headway.git.landing.merging import Merged, kinds_of, marked, own_name, with_labels
from headway.git.landing.queue_files import Queued
from headway.git.landing.refusals import refused_change, refused_files
from headway.git.landing.submission import Submission, chosen
from headway.git.repo import Repo
from headway.git.settled import settle
from headway.git.workspace import snapshot
from headway.git.workspace.notes import Answered, Move, Pending
from headway.git.workspace.scan import Scan
from headway.git.workspace.setup_changes import agents_tree, giving_way
from headway.git.workspace.workspace import Workspace

__all__ = ["Conflicted", "Landed", "Landing", "LandingOutcome", "LandingRefused", "NothingToLand", "Submission"]

_OTHERS = 1_000
_ASKED = 500
"""Conflicting paths whose rivals are looked for: a command line has room for so many."""

_RACES = 5


class LandingBroken(HeadwayError):
    """An unforeseen error, a bug of ours, keeps one submission from landing; the others landed without it."""


@dataclass(frozen=True)
class _Taken:
    """The trunk's answer to a submission; `commit` is None when nothing of it was new."""

    commit: Oid | None
    tip: Oid
    conflicted: Merged | None = None


class Landing:
    """Puts changes on the trunk of `hub`: first come, first served, with nothing slow under the lock."""

    def __init__(self, hub: Hub, fenced: Callable[[Fence], bool], *, synced: bool = True) -> None:
        """Landings on the trunk of a hub.

        Args:
            hub: The hub of the trunk.
            fenced: Tells from a submission's fence whether its submitter, in another process, still has its lease.
            synced: Answer only when everything is on disk. Without it a crash of the machine may undo an answered
                landing.
        """
        self.hub = hub
        self._fenced = fenced
        self._synced = synced

    def land(self, workspace: Workspace, submission: Submission, check_lease: Callable[[], None]) -> LandingOutcome:
        """Land the changes of the workspace's files against the commit it stands on.

        A call that is repeated after a crash lands once, and gets the answer that it would have got.

        Raises:
            LeaseLost: From `check_lease`, which is called with the trunk locked, before anything moves.
            ToolError: The message is empty, or one of the paths names nothing.
            TransientError: It failed, and may succeed later; it has landed or not, and asking again tells.
            LandingBroken: It failed, and would fail again.
        """
        with workspace.held():
            asked = submission.asked()
            adopted = self._adopt(workspace, submission, check_lease)
            if adopted is not None and adopted.asked == asked:
                return told(adopted)
            found = workspace.scan()
            last = workspace.notes().last
            if last is not None and last.asked == asked and last.tree == found.files:
                return told(last)
            base = workspace.base
            if (impossible := refused_files(self.hub.repo, found, submission)) is not None:
                return impossible
            tree = chosen(self.hub.repo, base, found, submission.paths, self.hub.rules().submodules)
            changed = entries(self.hub.repo, base, tree)
            if (refused := refused_change(workspace, found, tree, changed, submission)) is not None:
                return refused
            if tree == self.hub.repo.tree_of(base):
                return NothingToLand(base)
            pending = Pending(asked=asked, mark=submission.mark(base, tree), tree=tree)
            queued = _queued(submission, pending, base, changed)
            if self._synced:
                settle(self.hub.repo, base, tree)
            # After a kill, the next holder of the workspace finds this note and looks for its mark on the trunk.
            workspace.note(workspace.notes().model_copy(update={"pending": pending}))
            taken = self._take(queued, check_lease)
            if taken.conflicted is not None:
                return self._give_back(workspace, found, pending, taken, check_lease)
            return self._settle(workspace, found, pending, taken, check_lease)

    def _take(self, queued: Queued, check: Callable[[], None]) -> _Taken:
        """Have the submission put on the trunk, by this process or by another one whose turn it is."""
        with queue_of(self.hub, self._fenced, synced=self._synced) as turns:
            verdict = turns.submit(queued, check)
        match verdict.state:
            case "landed" | "nothing":
                return _Taken(verdict.commit, verdict.tip)
            case "conflicted":
                assert verdict.tree is not None
                return _Taken(None, verdict.tip, Merged(verdict.tree, verdict.conflicts))
            case "lost":
                raise LeaseLost(f"{queued.task}: a newer holder works; nothing was landed")
            case "failed":
                raise TransientError(verdict.why)
            case "broken" | "uneven":
                raise LandingBroken(f"{queued.task} cannot be landed: {verdict.why}")

    def _settle(
        self, workspace: Workspace, now: Scan, pending: Pending, taken: _Taken, check: Callable[[], None]
    ) -> LandingOutcome:
        """Bring the workspace to the commit that holds its change. Changes that did not land stay in it."""
        repo, base = self.hub.repo, workspace.base
        stand = taken.commit or taken.tip
        parent = repo.resolve(f"{stand}^") if taken.commit else stand
        others = tuple(map(shown, self.hub.changed_paths(base, parent or base)[:_OTHERS]))
        before, made = workspace.notes(), workspace.made()

        def arrival(files: Oid) -> tuple[Move, LandingOutcome]:
            own = giving_way(repo, repo.tree_of(base), repo.tree_of(stand), files, made)
            rest = with_labels(repo, merge_trees(repo, pending.tree, repo.tree_of(stand), own), repo.tree_of(stand))
            marks = _open_conflicts(repo, rest, before.conflicted)
            rounds = before.rounds if marks else 0
            kept = None
            if rest.conflicts:
                # A conflict without markers leaves the trunk's file: the author's own must not be lost by it.
                tree = agents_tree(repo, repo.tree_of(base), files, made)
                wanted = snapshot.Snapshot(base, "", base, tree, workspace.attempt)
                kept = snapshot.keep(self.hub, workspace.task, wanted, check, workspace.tree.keep).commit
            answer: Landed | NothingToLand = NothingToLand(stand)
            last = None
            if taken.commit is not None:
                answer = Landed(stand, stand, others, tuple(map(shown, marks)), kept)
                last = noted(pending.asked, rest.tree, answer)
            return Move(tree=rest.tree, commit=stand, conflicted=marks, rounds=rounds, last=last), answer

        return self._move(workspace, now, arrival, check)

    def _give_back(
        self, workspace: Workspace, now: Scan, pending: Pending, taken: _Taken, check: Callable[[], None]
    ) -> LandingOutcome:
        """Bring the workspace to the trunk with all of its changes merged in, markers where they conflict."""
        conflicted = taken.conflicted
        assert conflicted is not None
        repo, base = self.hub.repo, workspace.base
        earlier, made = workspace.notes(), workspace.made()
        rounds = earlier.rounds + 1
        wanted = snapshot.Snapshot(base, "", base, now.tree, workspace.attempt)
        before = snapshot.keep(self.hub, workspace.task, wanted, check, workspace.tree.keep).commit
        kinds = kinds_of(repo, conflicted, taken.tip, now.files)
        asked = tuple(dict.fromkeys(name for path in list(kinds)[:_ASKED] for name in (path, own_name(path))))
        rivals = tuple(landed_since(repo, base, taken.tip, asked))
        paths = tuple(map(shown, kinds))
        answer = Conflicted(paths, tuple(kinds.values()), taken.tip, rivals, rounds, before)

        def arrival(files: Oid) -> tuple[Move, LandingOutcome]:
            kept = giving_way(repo, repo.tree_of(base), repo.tree_of(taken.tip), files, made)
            same = kept == pending.tree
            merged = conflicted if same else merge_trees(repo, repo.tree_of(base), repo.tree_of(taken.tip), kept)
            whole = with_labels(repo, merged, repo.tree_of(taken.tip))
            marks = _open_conflicts(repo, whole, (*kinds, *earlier.conflicted))
            last = noted(pending.asked, whole.tree, answer)
            return Move(tree=whole.tree, commit=taken.tip, conflicted=marks, rounds=rounds, last=last), answer

        return self._move(workspace, now, arrival, check)

    def _move(
        self,
        workspace: Workspace,
        now: Scan,
        arrival: Callable[[Oid], tuple[Move, LandingOutcome]],
        check: Callable[[], None],
    ) -> LandingOutcome:
        """Move the workspace; `arrival` computes the new files from the present ones, which may change meanwhile."""
        obstructed = False
        for _ in range(_RACES):
            move, answer = arrival(now.files)
            if workspace.move(now, move, over_ignored=obstructed):
                self._keep(workspace, move, check)
                return answer
            newer = workspace.scan()
            # Nothing that lands was written: ignored files are in the way of new ones of the trunk.
            obstructed = newer.files == now.files
            now = newer
        raise TransientError(f"files in {workspace.path} change all the time; stop the program that writes them")

    def _keep(self, workspace: Workspace, move: Move, check: Callable[[], None]) -> None:
        """Let the task's newest snapshot, if it has one, hold the workspace's present files without landed changes."""
        before = snapshot.newest(self.hub, workspace.task)
        if before is not None and before.attempt == workspace.attempt:
            tree = agents_tree(self.hub.repo, self.hub.repo.tree_of(move.commit), move.tree, workspace.made())
            wanted = snapshot.Snapshot(move.commit, "", move.commit, tree, workspace.attempt)
            snapshot.keep(self.hub, workspace.task, wanted, check, workspace.tree.keep)

    def _adopt(self, workspace: Workspace, submission: Submission, check: Callable[[], None]) -> Answered | None:
        """Finish a landing whose holder was killed after the trunk moved. Returns the answer that it had not given."""
        standing = workspace.notes()
        pending = standing.pending
        if pending is None:
            return None
        tip = self.hub.tip()
        commit = self.hub.landing_of(submission.task, pending.mark)
        if commit is None:
            return None
        self._settle(workspace, workspace.scan(), pending, _Taken(commit, tip), check)
        return workspace.notes().last


def _queued(submission: Submission, pending: Pending, base: Oid, changed: list[Entry]) -> Queued:
    """The submission for the holder of the trunk's lock; the queue fills in ticket and client."""
    return Queued(
        ticket="",
        client="",
        fence=submission.fence,
        task=submission.task,
        mark=pending.mark,
        base=base,
        tree=pending.tree,
        author=submission.author,
        message=submission.text(pending.mark),
        changes=changes_of(changed),
    )


def _open_conflicts(repo: Repo, merged: Merged, earlier: tuple[str, ...]) -> tuple[str, ...]:
    """Paths that conflict now, and those from before whose markers are still there."""
    return tuple(sorted({*(conflict.path for conflict in merged.conflicts), *marked(repo, merged.tree, earlier)}))
