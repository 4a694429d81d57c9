"""The lock of a trunk: a kernel lock, so that a holder's death releases it, and a note of the holder's identity.

A holder that is stopped does not die, and would block every landing. A process that has waited ten seconds on a stopped
holder kills it: a kill at any moment of a landing does no harm. A slow holder, whether it computes, sleeps or waits for
its disk, is never killed.
"""

import fcntl
import json
import os
from pathlib import Path

from pydantic import ValidationError

from headway.system import stopped
from headway.system.process import Process

PATIENCE_S = stopped.PATIENCE_S


class TrunkLock:
    """The lock file at `path`, as one thread at a time of one process uses it.

    Attributes:
        left_moving_to: The commit to which the previous holder was moving the trunk when it died; empty if it was not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._me = Process.own().model_dump()
        self._watch = self._watch_anew()
        self.left_moving_to = ""

    def take(self) -> bool:
        """Take the lock if it is free, without waiting, and note the holder at once."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._watch.look(lambda: _holder(_note(os.pread(self._fd, 4096, 0))))
            return False
        self._watch = self._watch_anew()
        try:
            self.left_moving_to = str(_note(os.pread(self._fd, 4096, 0)).get("moving_to", ""))
            self.move_to("")
        except BaseException:
            self.release()  # on a full disk only this caller fails; others may still take the lock
            raise
        return True

    def move_to(self, commit: str) -> None:
        """Note that the holder is about to move the trunk to `commit`; empty for a holder that is not there yet."""
        note = json.dumps({"process": self._me, "moving_to": commit}).encode()
        os.pwrite(self._fd, note, 0)
        os.ftruncate(self._fd, len(note))

    def release(self) -> None:
        """Release the lock."""
        # The next holder may be stopped before it makes its note; a note left here would have this process killed.
        try:
            os.ftruncate(self._fd, 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @staticmethod
    def _watch_anew() -> stopped.StoppedHolder:
        return stopped.StoppedHolder("the trunk's lock", PATIENCE_S)


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
