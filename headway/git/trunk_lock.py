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

import psutil

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
        self._me = {"pid": os.getpid(), "started": psutil.Process().create_time()}
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
        if now - self._seen[1] < PATIENCE_S or "pid" not in said:
            return
        self._seen = (b"", 0.0)
        try:
            holder = psutil.Process(int(said["pid"]))
            if holder.create_time() == said["started"] and holder.pid != os.getpid():
                _log.warning("process %s holds the trunk's lock and does not move: it is killed", holder.pid)
                holder.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return


def _note(read: bytes) -> dict[str, str | int | float]:
    try:
        found = json.loads(read)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
