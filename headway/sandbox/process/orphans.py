"""Takes in the orphans of commands, where no namespace ends them, and buries them when they die.

In a container the first process often does not wait for its children. Orphans would then stay as zombies, and zombies
count against the limit on processes of their control group.
"""

import contextlib
import os
import time
from collections import OrderedDict
from pathlib import Path

from headway.system.descendants import adopt_orphans
from headway.system.process import look

_EVERY_S = 0.5
_FORGOTTEN_S = 5.0
"""A zombie older than this has no other parent that will reap it: our own children are taken as soon as they end."""

_REMEMBERED = 2000


class Orphans:
    """One per process, for one event loop."""

    def __init__(self) -> None:
        self._adopts: bool | None = None
        self._over: OrderedDict[int, None] = OrderedDict()
        self._dead_since: dict[tuple[int, int], float] = {}
        self._looked = 0.0

    def adopt(self) -> bool:
        """From now on the orphans of our commands become our children; False if the system cannot do that."""
        if self._adopts is None:
            self._adopts = adopt_orphans()
        return self._adopts

    def over(self, leader: int) -> None:
        """A command is over and waited for; a process of its session that dies from now on is an orphan."""
        self._over[leader] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)

    def bury(self, *, now: bool = False) -> list[int]:
        """Wait for dead orphans and return their process ids. Looks at most twice a second, except with `now`."""
        if not self._adopts or (not now and time.monotonic() - self._looked < _EVERY_S):
            return []
        self._looked = time.monotonic()
        dead = {(pid, start): session for pid, start, session in _dead_children()}
        self._dead_since = {each: self._dead_since.get(each, self._looked) for each in dead}
        buried = []
        for (pid, start), session in dead.items():
            forgotten = self._looked - self._dead_since[pid, start] > _FORGOTTEN_S
            if forgotten or (session in self._over and pid != session):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                buried.append(pid)
        return buried


ORPHANS = Orphans()


def _dead_children() -> list[tuple[int, int, int]]:
    """Number, start and session of our children that are dead and not waited for."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_bytes().split():
                seen = look(int(pid))
                if seen is not None and seen.state == "Z":
                    found.append((int(pid), seen.start, seen.session))
    return found
