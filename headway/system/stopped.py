"""The one rule about a process that holds a lock and is stopped: it is killed after ten seconds.

The kernel releases the locks of a process that dies, and a slow process goes on by itself. A stopped one (state T or t)
would keep all others waiting until it is continued.
"""

import logging
import signal
import time
from collections.abc import Callable

from headway.system.process import Process

PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.25

_log = logging.getLogger(__name__)


class StoppedHolder:
    """Watches the holder of one lock for as long as the caller waits for that lock."""

    def __init__(self, what: str, patience_s: float = PATIENCE_S) -> None:
        self._what = what
        self._patience_s = patience_s
        self._seen: Process | None = None
        self._since = self._looked = -patience_s

    def look(self, read_holder: Callable[[], Process | None]) -> None:
        """Kill the holder when it has been found stopped at every look for ten seconds.

        Cheap enough for every try: `read_holder` is called four times a second.
        """
        now = time.monotonic()
        if now - self._looked < min(_LOOK_EVERY_S, self._patience_s / 4):
            return
        gap, self._looked = now - self._looked, now
        holder = read_holder()
        if holder is None or not holder.stopped or holder == Process.own():
            self._seen = None
        elif holder != self._seen or gap > self._patience_s / 2:
            # Counted anew after a gap: this process may have been stopped as well, and been continued first.
            self._seen, self._since = holder, now
        elif now - self._since >= self._patience_s:
            _log.warning("process %s holds %s and is stopped: it is killed", holder.pid, self._what)
            holder.send(signal.SIGKILL)
            self._seen = None
