"""The lock of a trunk: a kernel lock, so that a holder's death releases it, and a note of who the holder is.

A holder that is stopped does not die, and would stop everybody. Whoever has waited ten seconds on one holder that shows
no sign of life kills it: what a holder does is safe against that at every moment.
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
        self._me = {"process": Process.own().model_dump()}
        self._seen: tuple[bytes, float] = (b"", 0.0)
        self._looked = 0.0
        self._beaten = 0.0
        self.left_moving_to = ""

    def take(self) -> bool:
        """Take the lock if it is free, without waiting. The note is made at once."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._watch()
            return False
        self._seen = (b"", 0.0)
        self.left_moving_to = str(_note(os.pread(self._fd, 4096, 0)).get("moving_to", ""))
        self._beaten = -PATIENCE_S
        self.beat()
        return True

    def beat(self, moving_to: str = "") -> None:
        """Show that the holder lives; `moving_to` is what the trunk is about to be moved to."""
        now = time.monotonic()
        if not moving_to and now - self._beaten < PATIENCE_S / 20:
            return
        self._beaten = now
        note = json.dumps({**self._me, "beat": time.monotonic_ns(), "moving_to": moving_to}).encode()
        os.pwrite(self._fd, note, 0)
        os.ftruncate(self._fd, len(note))

    def release(self) -> None:
        """Let the next one go on."""
        # The next holder may be stopped before it makes its note, and nobody is to be killed in its place.
        os.ftruncate(self._fd, 0)
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _watch(self) -> None:
        """Kill a holder that has not shown a sign of life for as long as we wait."""
        now = time.monotonic()
        if now - self._looked < min(_LOOK_S, PATIENCE_S / 4):
            return
        self._looked = now
        note = os.pread(self._fd, 4096, 0)
        if note != self._seen[0]:
            self._seen = (note, now)
            return
        said = _note(note)
        if now - self._seen[1] < PATIENCE_S:
            return
        self._seen = (b"", 0.0)
        holder = _holder(said)
        if holder is not None and holder.alive and holder.pid != os.getpid():
            _log.warning("process %s holds the trunk's lock and does not move: it is killed", holder.pid)
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
