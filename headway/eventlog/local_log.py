"""One agent's log in the hand of its holder."""

import contextlib
import fcntl
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId, Fence, Role, parent_of, run_of
from headway.domain.retention import Keep
from headway.eventlog.blobs import Blobs, plain
from headway.eventlog.branch import NO_EVENT, OUTSIDE_THE_LINE, Branch
from headway.eventlog.codec import Codec, lines_of
from headway.eventlog.events.envelope import LOG_VERSION, AnyEvent, BodyT, Event
from headway.eventlog.events.life import AgentFork, AgentLease
from headway.eventlog.fence import fence_of
from headway.eventlog.log_reader import head_of, read_places
from headway.eventlog.redaction import Redact
from headway.eventlog.store import View, no_such_event
from headway.system.boot import boot_id
from headway.system.disk_room import give_room_back, take_room
from headway.system.files import PRIVATE_FILE, make_folder, sync_again, sync_folder
from headway.system.shortage import lacking, waited_for

_LEFT_TAKEN = 1 << 18
"""Bytes that a file takes of the disk beyond its size, from which on it is worth giving them back."""


class LocalLog:
    """The log of one agent, under one lease. Opening it raises the lease: an earlier holder writes nothing more.

    Safe for threads: a write that goes on after its caller was cancelled does not mix with the next caller's writes.
    `LocalStore.open` is the way to get one.

    Attributes:
        agent: The owner of the log.
        lease: The lease of this holder, from 1.
        epoch: The newest epoch of the live line.
    """

    def __init__(
        self,
        path: Path,
        blobs: Blobs,
        redact: Redact,
        *,
        agent: AgentId,
        role: Role,
        task: AgentId | None,
        codec: Codec,
    ) -> None:
        self.agent = agent
        self._codec = codec
        self._blobs = blobs
        self._redact = redact
        self._who = run_of(agent), agent, parent_of(agent), role, task
        self._path = path
        self._mutex = threading.RLock()
        self._views: tuple[View, ...] = ()
        self._past: tuple[View, ...] = ()
        self._reserved = 0  # the byte up to which the file has its room on the disk
        self._synced = 0  # the byte up to which it is known to be on disk
        self._doubtful = False
        with self._writing():
            self._fd = _open_file(path)
            try:
                with self._locked():
                    self._take_over()
                self._sync()
            except BaseException:
                self.close()
                raise

    def _take_over(self) -> None:
        self._read()
        torn = _read_from(self._fd, self._end)
        if torn:
            self._cut(torn)
        found = os.fstat(self._fd)
        if found.st_blocks * 512 > found.st_size + _LEFT_TAKEN:
            give_room_back(self._fd, self._end)  # the holder before was killed
        self.lease += 1
        taken = AgentLease(host=socket.gethostname(), pid=os.getpid(), boot=boot_id())
        self._write(self._event(taken), taken.wire())

    def _read(self) -> None:
        """Take in the file as it stands, one event at a time: parts that are not kept are never in memory together."""
        read = read_places(self._fd)
        self._next, self._end, self._head, self.lease = read.count, read.end, read.head, read.lease
        self.epoch, self._epoch_at = read.epoch, read.epoch_at
        self._abandoned = read.abandoned

    def follow(self, *views: View, past: Sequence[View] = ()) -> None:
        """See `AgentLog.follow`."""
        with self._mutex:
            for found in itertools.islice(self._codec.events_in(lines_of(self._fd)), self._next):
                event = found.event if found.event.body.shown is Keep.DROP else found.resolved(self._blobs)
                _show(event, past, () if event.seq in self._abandoned else views)
            self._views, self._past = (*self._views, *views), (*self._past, *past)

    def replay(self, epoch: int) -> Iterator[AnyEvent]:
        """The live events of the newest epoch, whole, in order; none when `epoch` is another one."""
        if epoch != self.epoch:
            return
        seq, at = self._epoch_at
        tree = Branch((found.event for found in self._codec.events_in(lines_of(self._fd, at), first=seq)), first=seq)
        live = set(tree.seqs(tree.head))
        for found in self._codec.events_in(lines_of(self._fd, at), first=seq):
            if found.event.epoch == epoch and found.event.seq in live:
                yield found.resolved(self._blobs)

    def _cut(self, torn: bytes) -> None:
        """Cut the half-written end that a crash left. More than one line of it is kept aside, for an inspection."""
        if torn.rstrip(b"\0").count(b"\n") > 0:
            with self._path.with_suffix(".torn").open("ab") as aside:
                aside.write(torn + b"\n")
        os.ftruncate(self._fd, self._end)

    def append(
        self, body: BodyT, *, epoch: int = 0, turn: int = 0, dur_ms: float | None = None, sync: bool = False
    ) -> Event[BodyT]:
        """Write one event and return it as a reader will see it: redacted, and as JSON gives it back.

        Args:
            body: The content of the event.
            epoch: The stretch of the log that is in the model's context.
            turn: A planner's turn or a worker's step.
            dur_ms: Duration in milliseconds, where it took time.
            sync: Return only when the event is on disk.

        Raises:
            LeaseLost: A newer holder has opened the log; nothing was written.
            Shortage: The disk is full or broken. Nothing was written; with `sync` the event may be there, and is not
                known to be on disk.
        """
        body, data = self._kept(body)
        with self._mutex, self._writing():
            event = self._event(body, epoch, turn, dur_ms)
            line = self._encoded(event, data)
            with self._locked():
                self._refuse_if_lost()
                self._write(event, data, line)
            if sync:
                self._sync()
        return event

    def _kept(self, body: BodyT) -> tuple[BodyT, dict[str, Any]]:
        """A body as a reader will see it, and its JSON."""
        said = body.wire()
        data = plain(said, self._redact)
        return body if data == said else cast(BodyT, self._codec.body(body.type, data)), data

    def _event(self, body: BodyT, epoch: int = 0, turn: int = 0, dur_ms: float | None = None) -> Event[BodyT]:
        run, agent, parent, role, task = self._who
        return Event(
            v=LOG_VERSION,
            ts=time.time(),
            seq=self._next,
            lease=self.lease,
            run=run,
            agent=agent,
            parent=parent,
            role=role,
            task=task,
            epoch=epoch,
            turn=turn,
            type=body.type,
            dur_ms=dur_ms,
            body=body,
        )

    def _encoded(self, event: AnyEvent, data: dict[str, Any]) -> bytes:
        """The event's line. Room that was reserved for it is in the log itself, not in a blob next to it."""
        try:
            return self._codec.encode(event, data, self._blobs)
        except OSError as error:
            whole = self._codec.encode(event, data, self._blobs, inline=True)
            if lacking(error) is None or self._end + len(whole) > self._reserved:
                raise
            return whole

    def reserve(self, nbytes: int) -> None:
        """Make sure of room on the disk for the next `nbytes` of this log: a call is paid before its reply can be
        written.

        Events that fit into it are written also when the disk has become full, or has no inodes left.

        Raises:
            Shortage: There is not so much room.
        """
        with self._mutex:
            if self._end + nbytes > self._reserved:
                with self._writing():
                    # Twice as much, so that not every call has to ask for it.
                    take_room(self._fd, self._end, 2 * nbytes)
                self._reserved = self._end + 2 * nbytes

    def redacted(self, text: str) -> str:
        """A text as the log would keep it."""
        return self._redact(text)

    def without_our_secrets(self, text: str) -> str:
        """A text as an agent may act on it: words that merely look like a key are there, the keys of this process are
        not.
        """
        return self._redact.known(text)

    def sync(self) -> None:
        """Put all appended events on disk.

        Raises:
            Shortage: The disk could not; the events are still in the log.
        """
        with self._mutex, self._writing():
            self._sync()

    def _sync(self) -> None:
        try:
            if self._doubtful:
                sync_again(self._fd, self._synced, self._end)
            else:
                os.fsync(self._fd)
        except OSError:
            self._doubtful = True
            raise
        self._synced, self._doubtful = self._end, False

    def fork(self, seq: int) -> None:
        """Let the live line go on from event `seq` as it was live then; -1 is from nothing.

        Nothing is written when the line ends there already.

        Raises:
            UserError: The log has no such event.
        """
        with self._mutex:
            if not NO_EVENT <= seq < self._next:
                raise no_such_event(self.agent, seq)
            if head_of(self._fd, seq) == self._head:
                self.check()
                return
            self.append(AgentFork(to=seq), sync=True)
            lease = self.lease
            self._read()
            self.lease = lease
            self._views = self._past = ()

    def check(self) -> None:
        """Do nothing while this holder's lease is the newest.

        Raises:
            LeaseLost: It is not.
        """
        with self._mutex:
            found = os.fstat(self._fd)
            if found.st_size != self._end or found.st_nlink == 0:
                with self._locked():
                    self._refuse_if_lost()

    def fence(self) -> Fence:
        """A text that shows another process if this holder's lease is still the newest; see `fence.holds`."""
        with self._mutex:
            return fence_of(self._path, self._end, self.lease)

    def finish(self) -> None:
        """Put everything on disk and let go of the file.

        Raises:
            Shortage: The disk could not; the file is let go all the same.
        """
        try:
            self.sync()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file. The lease stays as it is until another holder opens the log."""
        with self._mutex:
            fd, self._fd = getattr(self, "_fd", -1), -1
            if fd >= 0:
                with contextlib.suppress(OSError):  # room that stays taken comes back with the next holder
                    self._give_room_back(fd)
                os.close(fd)

    def _give_room_back(self, fd: int) -> None:
        if not self._reserved:
            return
        fcntl.flock(fd, fcntl.LOCK_EX)  # released by the close that follows
        if os.fstat(fd).st_size == self._end:
            give_room_back(fd, self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return waited_for(f"{self._path} cannot be written")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # The write counts in any case: a caller that got an error would write again. The next append, or the close,
            # releases the lock.
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _refuse_if_lost(self) -> None:
        """Under the lock. Only a newer holder can have made the file grow: every holder looks before it writes."""
        found = os.fstat(self._fd)
        if found.st_nlink == 0:
            raise LeaseLost(f"{self.agent}: the log was removed")
        if found.st_size == self._end:
            return
        news = self._codec.events_in(lines_of(self._fd, self._end), first=self._next)
        if found.st_size < self._end or next(news, None) is not None:
            raise LeaseLost(f"{self.agent}: lease {self.lease} was taken over by a newer holder")
        os.ftruncate(self._fd, self._end)  # a newer one died before its first line was whole, so it never held it
        self._reserved = 0  # given back with what was cut

    def _write(self, event: AnyEvent, data: dict[str, Any], line: bytes | None = None) -> None:
        """Under the lock."""
        line = self._codec.encode(event, data, self._blobs) if line is None else line
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self._end)
            self._reserved = 0  # given back with what was cut
            raise
        start, self._end = self._end, self._end + len(line)
        self._next += 1
        _show(event, self._past, self._views)
        if event.type in OUTSIDE_THE_LINE:
            return
        if event.epoch > self.epoch or self._head == NO_EVENT:
            self.epoch, self._epoch_at = max(event.epoch, self.epoch), (event.seq, start)
        self._head = event.seq


def _show(event: AnyEvent, past: Sequence[View], views: Sequence[View]) -> None:
    for view in (*past, *(() if event.type in OUTSIDE_THE_LINE else views)):
        view.apply(event)


def _open_file(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        make_folder(path.parent)
        fd = os.open(path, flags | os.O_CREAT, PRIVATE_FILE)
        sync_folder(path.parent)
        return fd


def _read_from(fd: int, start: int) -> bytes:
    """The file from `start` to its end. Its position is not used, so that threads cannot disturb each other."""
    parts = []
    while part := os.pread(fd, 1 << 24, start):
        parts.append(part)
        start += len(part)
    return b"".join(parts)
