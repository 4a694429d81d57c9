"""Identity and state of a process.

The system reuses process ids, and a start time by the wall clock moves when the clock is set. So a process is known by
its id, its start in clock ticks since boot (field 22 of /proc/PID/stat), and the boot.
"""

import os
import signal
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict

from headway.system.boot import boot_id

_PROC = Path("/proc")
_HERTZ = os.sysconf("SC_CLK_TCK")
_DEAD = frozenset({"Z", "X", "x"})
_STOPPED = frozenset({"T", "t"})
_LETTERS = {psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_STOPPED: "T", psutil.STATUS_TRACING_STOP: "t"}


class Process(BaseModel):
    """One process of one boot; it can be stored, and compared with `==`.

    Attributes:
        start: Clock ticks from the boot to the start of the process.
        boot: Identity of the boot, as `boot_id` gives it.
    """

    model_config = ConfigDict(frozen=True)

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this id now, a zombie included; None when there is none."""
        seen = look(pid)
        return cls(pid=pid, start=seen.start, boot=boot_id()) if seen is not None else None

    @staticmethod
    def own() -> "Process":
        """The calling process. Cheap: it is looked up once."""
        return _own()

    @property
    def state(self) -> str:
        """Its state letter, such as R, S, D, T or Z; empty when it is gone."""
        seen = look(self.pid) if self.boot == boot_id() else None
        return seen.state if seen is not None and seen.start == self.start else ""

    @property
    def alive(self) -> bool:
        """True if the process exists and is not a zombie."""
        return self.state not in _DEAD | {""}

    @property
    def stopped(self) -> bool:
        """True if a signal or a debugger stopped it (state T or t). It does nothing until it is continued or killed."""
        return self.state in _STOPPED

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this process and no other, though its id may be used again; False when it is gone."""
        try:
            handle = os.pidfd_open(self.pid) if sys.platform == "linux" else -1
            try:
                # Checked after the handle is open: the handle stays with the process that had the id at that moment.
                if not self.alive:
                    return False
                if handle >= 0:
                    signal.pidfd_send_signal(handle, number)
                else:
                    os.kill(self.pid, number)
            finally:
                if handle >= 0:
                    os.close(handle)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True)
class Seen:
    """A process as the system shows it at one moment.

    Attributes:
        state: Its state letter.
        start: Clock ticks from the boot to its start.
        session: Its session's id.
        cpu_s: Processor time that it has used, all threads together.
    """

    state: str
    start: int
    session: int
    cpu_s: float


@cache
def _own() -> Process:
    # Not looked up again: /proc/PID/stat sums up every thread, and a worker process has hundreds.
    found = Process.of(os.getpid())
    assert found is not None, "a process that runs is listed"
    return found


os.register_at_fork(after_in_child=_own.cache_clear)


def look(pid: int) -> Seen | None:
    """The process that has this id now, a zombie included; None when there is none."""
    try:
        read = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None if sys.platform == "linux" else _look_without_proc(pid)
    # The name, in brackets, may hold brackets and spaces of its own.
    fields = read.rpartition(b")")[2].split()
    return Seen(fields[0].decode(), int(fields[19]), int(fields[3]), (int(fields[11]) + int(fields[12])) / _HERTZ)


def is_open(path: Path) -> bool:
    """True if a process of this user has the file open. Reads every process of the machine: not for an event loop."""
    wanted = os.path.realpath(path)
    for process in _PROC.glob("[0-9]*/fd"):
        try:
            if any(os.path.realpath(handle) == wanted for handle in process.iterdir()):
                return True
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return False


def _look_without_proc(pid: int) -> Seen | None:
    """The same as `look` on a system without /proc, whose kernel notes the start once, by the clock of that moment."""
    try:
        process = psutil.Process(pid)
        used, state = process.cpu_times(), _LETTERS.get(process.status(), "S")
        return Seen(state, int(process.create_time() * _HERTZ), os.getsid(pid), used.user + used.system)
    except (psutil.Error, ProcessLookupError, PermissionError):
        return None
