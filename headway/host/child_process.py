"""A process under a supervisor: its program, and the running process."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headway.system import die_with_parent, heartbeat

POLL_S = 0.1

KEEP_LOG_BYTES = 20 * 1024 * 1024
"""A log larger than this is set aside as `<name>.log.1`, in place of the one set aside before."""


@dataclass(frozen=True)
class ChildProcess:
    """A command to keep running.

    Attributes:
        name: Of its log file and its entry in the state; unique under one supervisor.
        argv: Program and arguments.
        env: Additions to the supervisor's environment; None takes a variable out of it. Never written anywhere.
        restart: Start it again when it dies; otherwise its end ends the supervisor.
        stop_s: Seconds that it may take to end after SIGTERM, before SIGKILL.
        umask: Mode bits that its files never have; -1 leaves the supervisor's.
        cwd: Its working folder; None for the supervisor's own.
        logs_on_stderr: Its standard output is a banner without times, and stays out of its log.
        heartbeat: It beats, as `headway.system.heartbeat` does; one that falls silent is killed and started again.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    restart: bool = True
    stop_s: float = 40.0
    umask: int = -1
    heartbeat: bool = False
    logs_on_stderr: bool = False
    cwd: Path | None = None


class Started:
    """A child's process. It leads its own session, so that Ctrl-C reaches the supervisor alone.

    Its death is seen by asking, not by a thread or a descriptor, which a machine at its limits may refuse.
    """

    def __init__(self, child: ChildProcess, process: subprocess.Popen[bytes], beats: int | None, at: float) -> None:
        self.child = child
        self.process = process
        self.at = at
        self._beats = beats

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def heard(self) -> bytes:
        """The bytes that came on its heartbeat's pipe since the last call."""
        if self._beats is None:
            return b""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._beats, 1 << 17)
        return b""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child alone; one that is gone already is fine."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def over(self) -> int:
        """Its exit code, when it has ended."""
        while (code := self.process.poll()) is None:  # noqa: ASYNC110 - see above: it needs nothing
            await asyncio.sleep(POLL_S)
        return code

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL to whatever is left of its group when its time is up."""
        self.signal(signal.SIGTERM)
        # One that was stopped takes no other signal before it is continued.
        self.signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(self.over(), self.child.stop_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.over()
        self.sweep()

    def sweep(self) -> None:
        """Kill the rest of the ended child's process group, and close its heartbeat's pipe."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._beats is not None:
            os.close(self._beats)
            self._beats = None


def start_child(child: ChildProcess, logs: Path, pipe: int | None, at: float) -> Started:
    """Start `child` so that it dies with this process, its output appended to `logs/<name>.log`.

    `pipe` is the reading end of the supervisor's pipe, for systems whose kernel cannot do that; `at` is the time by the
    caller's clock.

    Raises:
        OSError: The system has no process, memory or descriptor for it just now.
    """
    env = {name: value for name, value in {**os.environ, **child.env}.items() if value is not None}
    handles = [] if pipe is None else [pipe]
    with contextlib.ExitStack() as ours:
        log = _open_log(logs / f"{child.name}.log")
        ours.callback(os.close, log)
        beats = None
        if child.heartbeat:
            beats, theirs = os.pipe()
            os.set_blocking(beats, False)
            ours.callback(os.close, theirs)
            env[heartbeat.VARIABLE] = str(theirs)
            handles.append(theirs)
        try:
            process = subprocess.Popen(
                [*_die_with_parent(pipe), *child.argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if child.logs_on_stderr else log,
                stderr=log,
                env=env,
                start_new_session=True,
                cwd=child.cwd,
                pass_fds=handles,
                umask=child.umask,
            )
        except BaseException:
            if beats is not None:
                os.close(beats)
            raise
    return Started(child, process, beats, at)


def _die_with_parent(pipe: int | None) -> list[str]:
    """The program that ends a child with this process, and becomes the child."""
    parent, end = str(os.getpid()), str(-1 if pipe is None else pipe)
    return [sys.executable, "-I", "-S", die_with_parent.__file__, parent, end]


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for a message about the end of its process."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _open_log(path: Path) -> int:
    """A descriptor to append to; of no file where none can be made: a child that works is worth more than its log."""
    try:
        return _append_to(path)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def keep_small(log: Path, most_bytes: int = KEEP_LOG_BYTES) -> None:
    """Set a large log aside, also while its process writes: a copy takes its content, and the file goes on empty.

    The process only appends, so it goes on at the new end. A line that it writes between the two steps is lost. On a
    full disk the log stays as it is until there is room.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > most_bytes:
            aside = log.with_name(log.name + ".1")
            aside.unlink(missing_ok=True)
            shutil.copyfile(log, aside)
            os.truncate(log, 0)


def _append_to(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_small(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
