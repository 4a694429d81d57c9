"""Taking turns on a trunk: the threads of a process that want to land, and the one of them that lands for all.

A submission is queued. Then the process that gets the trunk's lock, this one or another, lands all queued submissions.
So a landing waits for an answer, not for the lock; and of each process only one thread asks for the lock at a time.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from headway.domain.errors import LeaseLost, TransientError
from headway.domain.ids import Fence
from headway.git import maintenance
from headway.git.hub import Hub
from headway.git.landing.bounded_merge import landing_on, merge_outside_lock
from headway.git.landing.group_commit import Check, GroupCommit
from headway.git.landing.queue_files import Client, Queued, QueueFiles, Verdict
from headway.git.landing.trunk_lock import TrunkLock
from headway.git.settled import settle
from headway.system.cache import BoundedCache

_FIRST_PAUSE_S = 0.0003
_LONGEST_PAUSE_S = 0.005
_NUDGE_S = 0.05
_BY_LINES = 3
"""Merges of one submission, each of which came too late because the trunk moved, after which whole files conflict."""

_MERGES = 10


@dataclass
class _Waiting:
    check: Check
    answered: threading.Event = field(default_factory=threading.Event)
    verdict: Verdict | None = None
    refusal: Exception | None = None

    def check_lease(self) -> None:
        """Check the submitter's lease. Its error goes to the submitter, not to the thread that lands for all."""
        try:
            self.check()
        except Exception as refusal:
            self.refusal = refusal
            raise LeaseLost(str(refusal)) from refusal


class LandingQueue:
    """One hub's queue as this process uses it. Safe for threads."""

    def __init__(self, hub: Hub, fenced: Callable[[Fence], bool], *, synced: bool = True) -> None:
        self._files = QueueFiles(hub.folder)
        self._lock = TrunkLock(hub.folder / "land.flock")
        with ExitStack() as undone:
            undone.callback(self._lock.close)
            self._group_commit = GroupCommit(hub, self._files, self._lock, fenced, synced=synced)
            undone.callback(self._group_commit.close)
            self._client: Client = self._files.enter()
            undone.pop_all()
        self._carrying = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._hub = hub

    @property
    def wasted(self) -> int:
        """Landings that this process made in vain, because another process moved the trunk meanwhile."""
        return self._group_commit.wasted

    def submit(self, queued: Queued, check: Check) -> Verdict:
        """Queue a submission and wait for its answer. `ticket` and `client` of it are filled in here.

        A merge that takes long is made here, while others land; the answer is never `uneven`.

        Args:
            queued: The submission.
            check: Raises LeaseLost when the submitter may not land any more; called with the trunk locked, by this
                process, or else the fence is asked.

        Raises:
            TransientError: The queue could not be worked off; the submission has landed or not, and asking again tells.
        """
        merged = queued
        for patience in range(_MERGES):
            verdict = self._submit(merged, check)
            if verdict.state != "uneven":
                return verdict
            result = merge_outside_lock(self._hub.repo, queued, verdict.tip, whole_files=patience >= _BY_LINES)
            if result.conflicts:
                return Verdict("conflicted", verdict.tip, tree=result.tree, conflicts=result.conflicts)
            if self._group_commit.synced:
                settle(self._hub.repo, verdict.tip, result.tree)
            merged = landing_on(self._hub.repo, queued, verdict.tip, result.tree)
        raise TransientError("the trunk moves faster than this change can be merged with it")

    def _submit(self, queued: Queued, check: Check) -> Verdict:
        ticket = self._client.ticket()
        mine = _Waiting(check)
        with self._guard:
            self._waiting[ticket] = mine
        place = None
        try:
            place = self._queued(replace(queued, ticket=ticket, client=self._client.name))
            while mine.verdict is None:
                if self._carrying.acquire(blocking=False):
                    try:
                        self._carry(mine, place)
                    finally:
                        self._carrying.release()
                else:
                    mine.answered.wait(_NUDGE_S)
                    mine.answered.clear()
        finally:
            self._leave(ticket, place)
        if mine.refusal is not None:
            raise mine.refusal
        return mine.verdict

    def _queued(self, queued: Queued) -> Path:
        try:
            return self._files.put(queued)
        except OSError as error:
            raise TransientError(f"a landing cannot be queued in {self._hub.folder}: {error}") from error

    def _leave(self, ticket: str, place: Path | None) -> None:
        if place is not None and self._waiting[ticket].verdict is None:
            self._files.withdraw(place)
        with self._guard:
            del self._waiting[ticket]
            successor = next(iter(self._waiting.values()), None)
        if successor is not None:
            successor.answered.set()
        elif self._carrying.acquire(blocking=False):
            try:
                self._group_commit.idle()
            finally:
                self._carrying.release()

    def _carry(self, mine: _Waiting, place: Path) -> None:
        """Be the thread that asks for the lock, until `mine`, which waits at `place`, is answered."""
        pause = _FIRST_PAUSE_S
        while True:
            self._collect()
            if mine.verdict is not None:
                return
            if self._lock.take():
                try:
                    answered = self._land_group()
                    due = maintenance.due(self._group_commit.ledger)
                    forgotten = mine.verdict is None and not place.exists() and not self._answered(mine)
                finally:
                    self._lock.release()
                if due:
                    maintenance.start(self._hub.folder)
                if forgotten:
                    raise TransientError("the submission left the queue unanswered; asking again tells its fate")
                if answered:
                    pause = _FIRST_PAUSE_S
                    continue
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    def _land_group(self) -> bool:
        """Land the queue once; True if a submission of this process was answered."""
        with self._guard:
            checks = {ticket: waiting.check_lease for ticket, waiting in self._waiting.items()}
        verdicts = self._group_commit.land_group(self._client.name, checks)
        self._deliver(verdicts)
        return bool(verdicts)

    def _answered(self, mine: _Waiting) -> bool:
        """True if an answer has come. An earlier holder wrote it before it took the submission out of the queue."""
        self._collect()
        return mine.verdict is not None

    def _collect(self) -> None:
        try:
            self._deliver(dict(self._client.collect()))
        except (OSError, ValueError) as error:
            raise TransientError(f"the answers of {self._hub.folder} cannot be read: {error}") from error

    def _deliver(self, verdicts: dict[str, Verdict]) -> None:
        for ticket, verdict in verdicts.items():
            with self._guard:
                waiting = self._waiting.get(ticket)
            if waiting is not None:
                waiting.verdict = verdict
                waiting.answered.set()

    def stands(self) -> bool:
        """True if the hub is still the one that this queue belongs to, and not another one in its place."""
        return self._client.stands()

    def close(self) -> None:
        """Give back the hub's resources of this process: descriptors, memory, and its folder of answers."""
        self._group_commit.close()
        self._client.close()
        self._lock.close()

    def leave(self) -> None:
        """Release the locks in a fork of the process that uses them."""
        self._client.leave()
        self._lock.close()


HUBS_KEPT = 8
"""Hubs that a process stays connected to while it lands nothing there: 5 descriptors each, and a memory of trees."""

_turns: BoundedCache[tuple[Path, bool], LandingQueue] = BoundedCache(HUBS_KEPT, close=LandingQueue.close)
_left: list[LandingQueue] = []


def queue_of(hub: Hub, fenced: Callable[[Fence], bool], *, synced: bool = True) -> AbstractContextManager[LandingQueue]:
    """The queue of a hub for this process, for as long as the block runs; the first caller's `fenced` counts."""
    return _turns.using(
        (hub.folder, synced), lambda: LandingQueue(hub, fenced, synced=synced), is_valid=LandingQueue.stands
    )


def _in_a_fork() -> None:
    for turns in _turns.abandon():
        turns.leave()
        # Kept, not freed: a database that is closed in a fork disturbs its owner.
        _left.append(turns)


os.register_at_fork(after_in_child=_in_a_fork)
