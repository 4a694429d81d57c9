"""Group commit: the holder of the trunk's lock lands all waiting submissions, one commit each, in one move of the ref.

Everything that an answer rests on is written first: the objects of all commits in one pack, then the ref, then the
answers. A holder that dies in between leaves submissions in the queue, and the next one finds by their marks which have
landed.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headway.domain.errors import HeadwayError, LeaseLost, TransientError
from headway.domain.ids import Fence, Oid
from headway.git.git_process import GitError
from headway.git.hub import NOBODY, TRUNK, Hub
from headway.git.landed import Mark
from headway.git.landing.commit_text import commit_text
from headway.git.landing.merge_dir import MergeDir
from headway.git.landing.pack import Pack
from headway.git.landing.queue_files import Queued, QueueFiles, Verdict, client_of, ticket_of
from headway.git.landing.splice import Splice, Uneven
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.ledger import LandingLedger
from headway.git.objects import Reader
from headway.git.refs import read_ref, swap
from headway.system.shortage import lacking

MOST = 64
LONGEST_S = 1.0
_RACES = 5
_FEW = 200
"""Changed paths up to which a merge is tried under the lock."""

_SLOW_FOR_S = 5.0
"""Seconds without merges under the lock after one that took too long: its cause makes the next ones slow, too."""

_log = logging.getLogger(__name__)

Check = Callable[[], None]


@dataclass
class _Batch:
    """Landings that one move of the ref will make."""

    start: Oid
    tip: Oid
    tree: Oid
    marks: list[Mark] = field(default_factory=list)
    landing: list[Queued] = field(default_factory=list)
    verdicts: dict[Path, Verdict] = field(default_factory=dict)

    def landed(self, queued: Queued) -> Oid | None:
        """The commit of this very submission, when it waited twice."""
        return next((m.oid for m in self.marks if (m.task, m.mark) == (queued.task, queued.mark)), None)


class _Refused(Exception):
    """At the last look a submission of the batch may not land any more."""

    def __init__(self, ticket: str, verdict: Verdict) -> None:
        super().__init__(ticket)
        self.ticket = ticket
        self.verdict = verdict


class GroupCommit:
    """Lands the queue of one hub, for one process. Only for the holder of `lock`; not safe for threads.

    `fenced` tells from a submission's fence whether a submitter in another process still has its lease. Each lease is
    checked when it is a submission's turn, and again when only the rename of the ref is left to do.

    An error of one submission, expected or not, becomes its verdict: it does not fail the others or stay in the queue.

    Attributes:
        wasted: Landings that were made in vain, because another process moved the trunk meanwhile.
    """

    def __init__(
        self, hub: Hub, spool: QueueFiles, lock: TrunkLock, fenced: Callable[[Fence], bool], *, synced: bool
    ) -> None:
        self.hub = hub
        self.spool = spool
        self.lock = lock
        self.fenced = fenced
        self.synced = synced
        base = hub.facts().base
        self.ledger = LandingLedger(hub.folder, base)
        self.pack = Pack(hub.folder / "objects" / "pack", base)
        self.reader = Reader(hub.repo, self.pack.objects)
        self.scratch = MergeDir(hub.repo, self.pack, self.reader)
        self.splice = Splice(self.reader, lambda body: self.pack.add("tree", body))
        self.wasted = 0
        self._no_merge_before = 0.0

    def land_group(self, client: str, own: Mapping[str, Check]) -> dict[str, Verdict]:
        """Put the waiting submissions on the trunk: at most 64, the oldest first, or as many as take a second.

        Args:
            client: The name of this process.
            own: The lease checks of its submissions, by ticket.

        Returns:
            Verdicts on this process's own submissions, by ticket. Other processes find their answers in their folders.

        Raises:
            TransientError: The disk is full, or another process moves the trunk; the submissions go on waiting.
        """
        refused: dict[str, Verdict] = {}
        races = 0
        try:
            places = self.spool.waiting()
            if not places:
                return {}
            while races < _RACES:
                batch = self._filled(places, client, own, refused)
                try:
                    if self._moved(batch, own):
                        return self._told(batch, client)
                    self.wasted += len(batch.marks)
                    races += 1
                except _Refused as late:
                    refused[late.ticket] = late.verdict
                self._begin_anew()
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:
                self.ledger.mend()
            raise TransientError(f"the ledger of {self.hub.folder} cannot be written: {error}") from error
        except OSError as error:
            raise TransientError(f"landing in {self.hub.folder} failed: {error}") from error
        finally:
            self._begin_anew()
        raise TransientError("refs/heads/main moves without the landing lock; is another process pushing to this hub?")

    def _begin_anew(self) -> None:
        self.pack.clear()
        self.scratch.clear()

    def idle(self) -> None:
        """No thread of this process waits: release git until the next submission."""
        self.reader.close()

    def close(self) -> None:
        """Close git and the ledger."""
        self.reader.close()
        self.ledger.close()

    def _filled(
        self, places: list[Path], client: str, own: Mapping[str, Check], refused: Mapping[str, Verdict]
    ) -> _Batch:
        tip = read_ref(self.hub.folder, TRUNK)
        assert tip is not None
        self.ledger.catch_up(tip)
        batch = _Batch(tip, tip, self.reader.commit(tip)[0])
        until = time.monotonic() + LONGEST_S
        dead: dict[str, bool] = {client: False}
        for place in places:
            if time.monotonic() > until or len(batch.verdicts) == MOST:
                break
            submitter = client_of(place)
            if submitter not in dead:
                dead[submitter] = self.spool.is_dead(submitter)
            if dead[submitter]:
                # Its process is gone. Another process that gets the task submits it again if the task still wants to.
                self.spool.withdraw(place)
                continue
            verdict = refused.get(ticket_of(place)) or self._verdict(batch, place, own, own_process=submitter == client)
            if verdict is not None:
                batch.verdicts[place] = verdict
        return batch

    def _verdict(self, batch: _Batch, place: Path, own: Mapping[str, Check], *, own_process: bool) -> Verdict | None:
        """The verdict on one submission; None if it was withdrawn, or if its own process has to report the error."""
        try:
            queued = self.spool.read(place)
        except FileNotFoundError:
            return None
        except ValueError as error:
            return Verdict("failed", batch.tip, why=f"the submission was torn in the queue: {error}")
        except OSError as error:
            # The cause may be this process: it may lack descriptors.
            _log.warning("%s cannot be read: %s", place, error)
            why = f"the submission cannot be read: {error}"
            return Verdict("failed", batch.tip, why=why) if own_process else None
        try:
            return self._refusal(queued, own) or self._decided(batch, queued)
        except sqlite3.Error:
            raise
        except HeadwayError as error:
            return Verdict("failed", batch.tip, why=str(error))
        except Exception as error:  # noqa: BLE001 - whatever one submission breaks, the others go on
            why = f"{type(error).__name__}: {error}"
            if (short := lacking(error)) is not None:
                return Verdict("failed", batch.tip, why=f"{short} ({why})")
            _log.exception("the landing of %s is broken", queued.task)
            return Verdict("broken", batch.tip, why=why)

    def _refusal(self, queued: Queued, own: Mapping[str, Check]) -> Verdict | None:
        """The verdict on a submission whose lease is lost."""
        check = own.get(queued.ticket)
        try:
            if check is None:
                return None if self.fenced(queued.fence) else Verdict("lost", queued.base)
            check()
        except LeaseLost:
            return Verdict("lost", queued.base)
        return None

    def _decided(self, batch: _Batch, queued: Queued) -> Verdict:
        known = batch.landed(queued) or self.ledger.find(queued.task, queued.mark)
        return Verdict("landed", batch.tip, known) if known is not None else self._landed(batch, queued)

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
        self.reader.remember_commit(commit, tree, (batch.tip,))
        batch.tip, batch.tree = commit, tree
        batch.marks.append(Mark(commit, queued.task, queued.mark))
        batch.landing.append(queued)
        return Verdict("landed", commit, commit)

    def _merged(self, batch: _Batch, queued: Queued) -> Oid | Verdict:
        """The tree of a real merge, a conflict, or `uneven` when it would keep the trunk's lock for too long."""
        if len(queued.changes) > _FEW or time.monotonic() < self._no_merge_before:
            return Verdict("uneven", batch.tip)
        side = self.pack.add("commit", commit_text(queued.tree, (queued.base,), NOBODY, "submission\n"))
        try:
            merged = self.scratch.merge(batch.tip, side, queued.changes)
        except GitError as error:
            if not error.exhausted:
                raise
            self._no_merge_before = time.monotonic() + _SLOW_FOR_S
            return Verdict("uneven", batch.tip)
        if merged.conflicts:
            return Verdict("conflicted", batch.tip, tree=merged.tree, conflicts=merged.conflicts)
        return merged.tree

    def _moved(self, batch: _Batch, own: Mapping[str, Check]) -> bool:
        # Also where nothing landed: the pack holds the merged files of a conflict's answer.
        self.pack.write(synced=self.synced)
        if batch.tip == batch.start:
            return True
        self.lock.move_to(batch.tip)
        left = self.lock.left_moving_to

        def check() -> None:
            for queued in batch.landing:
                self._look_again(queued, own)

        if not swap(self.hub.folder, TRUNK, batch.tip, batch.start, left=left, check=check, synced=self.synced):
            return False
        try:
            self.ledger.add(batch.marks, batch.tip)
        except sqlite3.Error as error:
            # The landings count all the same; the next holder reads them from the trunk.
            _log.warning("the ledger of %s lacks %s landings: %s", self.hub.folder, len(batch.marks), error)
        return True

    def _look_again(self, queued: Queued, own: Mapping[str, Check]) -> None:
        try:
            refusal = self._refusal(queued, own)
        except Exception as error:  # noqa: BLE001 - whatever one submission breaks, the others go on
            _log.exception("the lease of %s cannot be checked", queued.task)
            refusal = Verdict("failed", queued.base, why=f"the lease cannot be checked: {error}")
        if refusal is not None:
            raise _Refused(queued.ticket, refusal)

    def _told(self, batch: _Batch, client: str) -> dict[str, Verdict]:
        told: dict[str, dict[str, Verdict]] = {client: {}}
        for place, verdict in batch.verdicts.items():
            told.setdefault(client_of(place), {})[ticket_of(place)] = verdict
        unanswered = {
            other for other, verdicts in told.items() if other != client and not self._answer(other, verdicts)
        }
        for place in batch.verdicts:
            if client_of(place) not in unanswered:
                self.spool.withdraw(place)
        return told[client]

    def _answer(self, client: str, verdicts: dict[str, Verdict]) -> bool:
        try:
            self.spool.answer(client, verdicts)
        except OSError as error:
            # They stay in the queue, and the next holder finds their landings by their marks.
            _log.warning("client %s cannot be answered: %s", client, error)
            return False
        return True
