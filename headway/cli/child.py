"""A process under a supervisor: what to run, and the running thing."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headway.cli import leash

KEEP_LOG_BYTES = 20 * 1024 * 1024
"""A log larger than this at a start is set aside as `<name>.log.1`, in place of the one set aside before."""


@dataclass(frozen=True)
class Child:
    """A command to keep running.

    Attributes:
        name: Of its log file and its entry in the state; unique under one supervisor.
        argv: Program and arguments.
        env: Additions to the supervisor's environment; None takes a variable out of it. Never written anywhere.
        restart: Start it again when it dies; otherwise its end ends the supervisor.
        stop_s: Seconds that it may take to end after SIGTERM, before SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    restart: bool = True
    stop_s: float = 40.0


class Started:
    """A child's process. It leads its own session, so that Ctrl-C reaches the supervisor alone."""

    def __init__(self, child: Child, process: asyncio.subprocess.Process, at: float) -> None:
        self.child = child
        self.process = process
        self.at = at

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child alone; one that is gone already is fine."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL to whatever is left of its group when its time is up."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), self.child.stop_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.process.wait()
        self.sweep()

    def sweep(self) -> None:
        """Kill what the ended child left behind in its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


async def start_child(child: Child, logs: Path, pipe: int | None, at: float) -> Started:
    """Start `child` on a leash, its output appended to `logs/<name>.log`.

    `pipe` is the reading end of the supervisor's pipe, for systems whose kernel holds no leash; `at` is the time by the
    caller's clock.
    """
    launcher = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(-1 if pipe is None else pipe)]
    log = _open_log(logs / f"{child.name}.log")
    try:
        process = await asyncio.create_subprocess_exec(
            *launcher,
            *child.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in {**os.environ, **child.env}.items() if value is not None},
            start_new_session=True,
            pass_fds=() if pipe is None else (pipe,),
        )
    finally:
        os.close(log)
    return Started(child, process, at)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for a message about the end of whoever wrote it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > KEEP_LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
