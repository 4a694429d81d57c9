"""Runs programs that read for an agent, within bounds on memory, processor time, wall time and bytes of output.

A search, a diff or a file of a repository can be of any size. The program that reads it runs apart from this process,
its output comes through a pipe, and the pipe is read to a bound. So the memory of this process depends on the bound and
is independent of what an agent or a repository wrote.
"""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from headway.domain.errors import ToolError, TransientError

MEMORY_MB = 2048
SECONDS = 30.0
NOT_ENTERED = 125
"""Exit code of a program that could not enter its control group."""

_CHUNK = 1 << 16
_ERR_BYTES = 4_096


@dataclass(frozen=True)
class Bounds:
    """Limits of one program.

    Attributes:
        doors: The `cgroup.procs` or `tasks` files of control groups. The program enters each by writing 0 into it, and
            the groups bound its memory.
        memory_mb: Bound of its address space in megabytes, where there is no control group.
        seconds: Wall time after which it is killed.
    """

    doors: tuple[Path, ...] = ()
    memory_mb: int = MEMORY_MB
    seconds: float = SECONDS

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a program's own: a shell that sets the limits and becomes the program."""
        # If this process dies, a broken pipe ends a program that writes; the limit of processor time ends the others.
        words = [f"ulimit -t {int(self.seconds) + 1}; ", words_to_enter(self.doors)]
        words += [] if self.doors else [f"ulimit -v {self.memory_mb * 1024} 2>/dev/null; "]
        return ("sh", "-c", f'{"".join(words)}exec "$@"', "sh")


def bounded_by(bounds: Bounds, seconds: float) -> Bounds:
    """The same bounds with another time."""
    return replace(bounds, seconds=seconds)


def words_to_enter(doors: Sequence[Path]) -> str:
    """Words of a shell that enter control groups; the shell exits with `NOT_ENTERED` where it cannot."""
    return "".join(f"echo 0 >'{door}' || exit {NOT_ENTERED}; " for door in doors)


Within = Callable[[], AbstractContextManager[Bounds]]
"""Gives the bounds of one program. They hold until the context is left."""


@contextmanager
def unheld() -> Iterator[Bounds]:
    """The default bounds, for a machine on which no control group can be made."""
    yield Bounds()


Reading = Callable[[str, int], AbstractContextManager[Bounds]]
"""Takes an agent's id and its memory in megabytes, and gives the bounds of one program that reads for this agent."""


@contextmanager
def by_limits(agent: str, memory_mb: int) -> Iterator[Bounds]:  # noqa: ARG001 - without groups all agents are alike
    """The bounds of an agent's program where no control group can be made."""
    yield Bounds(memory_mb=memory_mb)


End = Literal["itself", "cut", "late"]


@dataclass(frozen=True)
class ProgramOutput:
    """Result of a program.

    Attributes:
        code: Its exit code; -9 when it was killed.
        out: Its output, at most as many bytes as were asked for.
        err: The first 4,096 bytes of its standard error.
        end: `itself`: it ended. `cut`: it was killed because its output passed the bound. `late`: it was killed because
            its time was over.
    """

    code: int
    out: bytes
    err: str
    end: End

    @property
    def starved(self) -> bool:
        """True if the program seems to have died of its memory limit. The system reports this in no uniform way."""
        killed = self.end == "itself" and self.code == -signal.SIGKILL
        return killed or (self.code != 0 and "memory" in self.err.lower())


def refuse_unfinished(said: ProgramOutput, bounds: Bounds, name: str, *, less: str, smaller: str) -> None:
    """Return when a program ended by itself or at its bound of output.

    Args:
        said: Its result.
        bounds: Its bounds.
        name: Its name, as the model reads it.
        less: The model's remedy for a program that took too long.
        smaller: The model's remedy for a program that took too much memory.

    Raises:
        ToolError: It took more memory or more time than it may have.
        TransientError: It could not enter its control group.
    """
    if said.end == "late":
        raise ToolError(f"{name} took over {bounds.seconds:g} s: {less}")
    # Before the look for a lack of memory: with cgroup v1 the path in the shell's message holds the word "memory".
    if said.code == NOT_ENTERED and bounds.doors:
        raise TransientError(f"{name} could not enter its control group: {said.err.strip()}")
    if said.starved:
        raise ToolError(f"{name} took more than {bounds.memory_mb} MB of memory: {smaller}")


def read_from(
    argv: Sequence[str],
    *,
    bounds: Bounds,
    most: int,
    lines: int | None = None,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
    given: Sequence[bytes] = (),
) -> ProgramOutput:
    """Run a program and read its output to a bound. At the bound the program is killed with everything that it started.

    Args:
        argv: The program and its arguments.
        bounds: Its bounds.
        most: Bytes that are read of its output.
        lines: Lines that are read of its output; None for any number.
        cwd: Its working folder.
        env: Its whole environment; None for ours.
        fds: Descriptors that it inherits.
        given: Its input, in pieces.

    Raises:
        OSError: It cannot be started.
    """
    stdin = subprocess.PIPE if given else subprocess.DEVNULL
    with _started([*bounds.prefix, *argv], stdin, cwd, env, fds) as process:
        try:
            out, err, end = _collect(process, time.monotonic() + bounds.seconds, most, lines, _Input(process, given))
        finally:
            if process.poll() is None:
                _kill(process)
    return ProgramOutput(process.returncode, out, err.decode(errors="replace"), end)


def _started(
    argv: Sequence[str], stdin: int, cwd: Path | str | None, env: Mapping[str, str] | None, fds: Sequence[int]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(fds),
        start_new_session=True,
    )


class _Input:
    """Input that a program has not read yet. Writes to its pipe never block."""

    def __init__(self, process: "subprocess.Popen[bytes]", given: Sequence[bytes]) -> None:
        self.pipe = process.stdin
        self._left = deque(memoryview(piece) for piece in given)
        if self.pipe is not None:
            os.set_blocking(self.pipe.fileno(), False)

    def give(self) -> bool:
        """Write what the pipe takes; False when nothing more is wanted or left."""
        assert self.pipe is not None
        try:
            while self._left:
                written = os.write(self.pipe.fileno(), self._left[0])
                self._left[0] = self._left[0][written:]
                if not self._left[0]:
                    self._left.popleft()
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._left.clear()
        self.pipe.close()
        return False


def _collect(
    process: "subprocess.Popen[bytes]", until: float, most: int, lines: int | None, given: _Input
) -> tuple[bytes, bytes, End]:
    assert process.stdout is not None
    assert process.stderr is not None
    out, err, seen = bytearray(), bytearray(), 0
    with selectors.DefaultSelector() as ready:
        for pipe in (process.stdout, process.stderr):
            ready.register(pipe, selectors.EVENT_READ)
        if given.pipe is not None:
            ready.register(given.pipe, selectors.EVENT_WRITE)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return bytes(out), bytes(err), "late"
            for key, _ in ready.select(left):
                if key.fileobj is given.pipe:
                    fd = key.fd
                    if not given.give():
                        ready.unregister(fd)
                    continue
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    ready.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    err += chunk[: _ERR_BYTES - len(err)]
                else:
                    out += chunk
                    seen += 0 if lines is None else chunk.count(b"\n")
            if len(out) > most or (lines is not None and seen > lines):
                return bytes(out[:most]), bytes(err), "cut"
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return bytes(out), bytes(err), "late"
    return bytes(out), bytes(err), "itself"


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
