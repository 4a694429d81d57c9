"""The lock of a trunk: a kernel lock, so that a holder's death releases it, and a note of who the holder is.

A holder that is stopped does not die, and would block every landing. A process that has waited ten seconds on a stopped
holder kills it: what a holder does is safe against that at every moment. A slow holder, whether it computes, sleeps or
waits for its disk, is never killed, however long it takes.
"""

import fcntl
import json
import logging
import os
import signal
import time
from pathlib import Path

from pydantic import ValidationError

from headway.system.process import Process

PATIENCE_S = 10.0
_LOOK_S = 0.25

_log = logging.getLogger(__name__)


class TrunkLock:
    """The lock file at `path`, as one thread at a time of one process uses it.

    Attributes:
        left_moving_to: What the holder before was about to move the trunk to when it died; empty if it did not die so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._me = Process.own().model_dump()
        self._stopped: tuple[Process, float] | None = None
        self._looked = 0.0
        self.left_moving_to = ""

    def take(self) -> bool:
        """Take the lock if it is free, without waiting. The note is made at once."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._watch()
            return False
        self._stopped = None
        try:
            self.left_moving_to = str(_note(os.pread(self._fd, 4096, 0)).get("moving_to", ""))
            self.move_to("")
        except BaseException:
            self.release()  # a full disk keeps nobody from the trunk but its finder
            raise
        return True

    def move_to(self, commit: str) -> None:
        """Note that the holder is about to move the trunk to `commit`; empty: not yet."""
        note = json.dumps({"process": self._me, "moving_to": commit}).encode()
        os.pwrite(self._fd, note, 0)
        os.ftruncate(self._fd, len(note))

    def release(self) -> None:
        """Let the next one go on."""
        # The next holder may be stopped before it makes its note, and nobody is to be killed in its place.
        try:
            os.ftruncate(self._fd, 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _watch(self) -> None:
        """Kill a holder that has been stopped at every look for ten seconds."""
        now = time.monotonic()
        if now - self._looked < min(_LOOK_S, PATIENCE_S / 4):
            return
        self._looked = now
        holder = _holder(_note(os.pread(self._fd, 4096, 0)))
        if holder is None or not holder.stopped:
            self._stopped = None
        elif self._stopped is None or self._stopped[0] != holder:
            self._stopped = (holder, now)
        elif now - self._stopped[1] >= PATIENCE_S:
            self._stopped = None
            _log.warning("process %s holds the trunk's lock and is stopped: it is killed", holder.pid)
            holder.send(signal.SIGKILL)


def _holder(said: dict[str, object]) -> Process | None:
    try:
        return Process.model_validate(said.get("process"))
    except ValidationError:
        return None


def _note(read: bytes) -> dict[str, object]:
    try:
        found = json.loads(read)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
