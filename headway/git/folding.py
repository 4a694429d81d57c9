"""Folding: whoever holds the trunk's lock puts everything that waits on the trunk, one commit each, in one move.

What cannot be told again is written first: the objects of all commits in one pack, then the ref, then the answers. A
holder that dies in between leaves submissions in the queue, and the next one finds by their marks which have landed.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headway.domain.errors import HeadwayError, LeaseLost, TransientError
from headway.domain.ids import Oid
from headway.git.commit_text import commit_text
from headway.git.hub import NOBODY, TRUNK, Hub
from headway.git.landed import Mark
from headway.git.ledger import Ledger
from headway.git.objects import Reader
from headway.git.pack import Pack
from headway.git.refs import read_ref, swap
from headway.git.scratch import Scratch
from headway.git.splice import Splice, Uneven
from headway.git.spool import Queued, Spool, Verdict
from headway.git.trunk_lock import TrunkLock

MOST = 64
LONGEST_S = 1.0
_RACES = 5

_log = logging.getLogger(__name__)

Check = Callable[[], None]


@dataclass
class _Batch:
    """Landings that one move of the ref will make."""

    start: Oid
    tip: Oid
    tree: Oid
    marks: list[Mark] = field(default_factory=list)
    verdicts: dict[Path, tuple[Queued, Verdict]] = field(default_factory=dict)

    def landed(self, queued: Queued) -> Oid | None:
        """The commit of this very submission, when it waited twice."""
        return next((m.oid for m in self.marks if (m.task, m.mark) == (queued.task, queued.mark)), None)


class Folding:
    """Folds the queue of one hub, for one process. Only for whoever holds `lock`; not safe for threads.

    `fenced` tells from a submission's fence whether a submitter in another process still has its lease.

    Attributes:
        wasted: Landings that were made in vain, because somebody else moved the trunk meanwhile.
    """

    def __init__(self, hub: Hub, spool: Spool, lock: TrunkLock, fenced: Callable[[str], bool], *, synced: bool) -> None:
        self.hub = hub
        self.spool = spool
        self.lock = lock
        self.fenced = fenced
        self.synced = synced
        base = hub.facts().base
        self.ledger = Ledger(hub.folder, base)
        self.pack = Pack(hub.folder / "objects" / "pack", base)
        self.reader = Reader(hub.repo, self.pack.objects)
        self.scratch = Scratch(hub.repo, self.pack, self.reader)
        self.splice = Splice(self.reader, lambda body: self.pack.add("tree", body))
        self.wasted = 0
        self._trees: tuple[Oid, Oid] | None = None

    def fold(self, client: str, own: Mapping[str, Check]) -> dict[str, Verdict]:
        """Put what waits on the trunk: at most 64 submissions, the oldest first, or as many as take a second.

        Args:
            client: The name of this process.
            own: The lease checks of its submissions, by ticket.

        Returns:
            What became of this process's own submissions, by ticket. Others find their answers in their folders.

        Raises:
            TransientError: The disk is full, or somebody else moves the trunk; what waits goes on waiting.
        """
        places = self.spool.waiting()[:MOST]
        if not places:
            return {}
        try:
            for _ in range(_RACES):
                batch = self._filled(places, client, own)
                if self._moved(batch):
                    return self._told(batch, client)
                self.wasted += len(batch.marks)
                self._begin_anew()
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:
                self.ledger.mend()
            raise TransientError(f"the ledger of {self.hub.folder} cannot be written: {error}") from error
        except OSError as error:
            raise TransientError(f"landing in {self.hub.folder} failed: {error}") from error
        finally:
            self._begin_anew()
        raise TransientError("the trunk is moved by somebody who does not take its lock")

    def _begin_anew(self) -> None:
        self.pack.clear()
        self.scratch.clear()

    def idle(self) -> None:
        """Nobody of this process waits: let go of what costs while it waits."""
        self.reader.close()

    def _filled(self, places: list[Path], client: str, own: Mapping[str, Check]) -> _Batch:
        tip = read_ref(self.hub.folder, TRUNK)
        assert tip is not None
        self.ledger.catch_up(tip)
        batch = _Batch(tip, tip, self._tree_of(tip))
        until = time.monotonic() + LONGEST_S
        dead: dict[str, bool] = {client: False}
        for place in places:
            if time.monotonic() > until:
                break
            queued = self.spool.read(place)
            if queued is None:
                continue
            if queued.client not in dead:
                dead[queued.client] = self.spool.drop_if_dead(queued.client)
            if dead[queued.client]:
                # Nobody waits for it. Its task, given to another process, submits it again if it still wants to.
                self.spool.withdraw(place)
                continue
            self.lock.beat()
            batch.verdicts[place] = (queued, self._verdict(batch, queued, own.get(queued.ticket)))
        return batch

    def _verdict(self, batch: _Batch, queued: Queued, check: Check | None) -> Verdict:
        try:
            if check is not None:
                check()
            elif not self.fenced(queued.fence):
                return Verdict("lost", batch.tip)
            known = batch.landed(queued) or self.ledger.find(queued.task, queued.mark)
            if known is not None:
                return Verdict("landed", batch.tip, known)
            return self._landed(batch, queued)
        except LeaseLost:
            return Verdict("lost", batch.tip)
        except HeadwayError as error:
            return Verdict("failed", batch.tip, why=str(error))

    def _landed(self, batch: _Batch, queued: Queued) -> Verdict:
        try:
            even = queued.base == batch.tip
            tree = queued.tree if even else self.splice.into(batch.tree, queued.changes)
        except Uneven:
            merged = self._merged(batch, queued)
            if isinstance(merged, Verdict):
                return merged
            tree = merged
        if tree == batch.tree:
            return Verdict("nothing", batch.tip)
        text = commit_text(tree, (batch.tip,), queued.author, queued.message)
        commit = self.pack.add("commit", text)
        batch.tip, batch.tree = commit, tree
        batch.marks.append(Mark(commit, queued.task, queued.mark))
        return Verdict("landed", commit, commit)

    def _merged(self, batch: _Batch, queued: Queued) -> Oid | Verdict:
        """The tree of a real merge, or the conflict."""
        side = self.pack.add("commit", commit_text(queued.tree, (queued.base,), NOBODY, "submission\n"))
        merged = self.scratch.merge(batch.tip, side)
        if merged.conflicts:
            return Verdict("conflicted", batch.tip, tree=merged.tree, conflicts=merged.conflicts)
        return merged.tree

    def _moved(self, batch: _Batch) -> bool:
        # Also where nothing landed: what a conflict is answered with is in there.
        self.pack.write(synced=self.synced)
        if batch.tip == batch.start:
            return True
        self.lock.beat(batch.tip)
        left = self.lock.left_moving_to
        if not swap(self.hub.folder, TRUNK, batch.tip, batch.start, left=left, synced=self.synced):
            return False
        self._trees = (batch.tip, batch.tree)
        try:
            self.ledger.add(batch.marks, batch.tip)
        except sqlite3.Error as error:
            # What has landed is told; the next holder reads it from the trunk.
            _log.warning("the ledger of %s lacks %s landings: %s", self.hub.folder, len(batch.marks), error)
        return True

    def _told(self, batch: _Batch, client: str) -> dict[str, Verdict]:
        own: dict[str, Verdict] = {}
        others: dict[str, dict[str, Verdict]] = {}
        for queued, verdict in batch.verdicts.values():
            mine = own if queued.client == client else others.setdefault(queued.client, {})
            mine[queued.ticket] = verdict
        for other, verdicts in others.items():
            self.spool.answer(other, verdicts)
        for place in batch.verdicts:
            self.spool.withdraw(place)
        return own

    def _tree_of(self, tip: Oid) -> Oid:
        if self._trees is None or self._trees[0] != tip:
            head = self.reader.read(tip).partition(b"\n")[0]
            self._trees = (tip, Oid(head.removeprefix(b"tree ").decode()))
        return self._trees[1]
