"""One process of git: its result, its bounds, and the failures that have no answer."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.system.shortage import WAIT_S, lacking_in

_ONE_PIECE_MB = 640
"""The largest piece of that memory. Git streams files over 512 MB, and takes a rules file in as one piece."""

_THREADS = 20
"""Threads with which git looks at the files of an index. The kernel counts the whole stack of each, used or not."""

_STACK_BYTES = 2 << 20
"""The stack of a thread where the system sets no bound."""

TIMED_OUT = 124
"""The code of a `GitError` that says that git did not end in time."""

_ENDED = frozenset({TIMED_OUT, -signal.SIGXCPU, -signal.SIGKILL})
_STARVED = ("Out of memory", "out of memory", "attempting to allocate")
"""Git's words where it gets no more memory, from the system or within GIT_ALLOC_LIMIT."""


class GitError(TransientError):
    """A git command failed in a way that its caller has no answer to, such as a full disk; a retry may succeed."""

    def __init__(self, args: Sequence[str], code: int, err: str) -> None:
        delay_s = WAIT_S if lacking_in(err) else None
        super().__init__(f"git {args[0]} failed ({code}): {err.strip() or 'no message'}", delay_s)
        self.code = code
        self.err = err.strip()

    @property
    def short(self) -> bool:
        """True if the machine lacks something that comes back, such as room on a disk."""
        return lacking_in(self.err) is not None

    @property
    def exhausted(self) -> bool:
        """True if it was ended because it took too long, or because it or the machine had no more memory."""
        return self.code in _ENDED or self.starved

    @property
    def starved(self) -> bool:
        """True if it ended because it had no more memory."""
        return _starved_in(self.err)


def _starved_in(err: str) -> bool:
    return any(words in err for words in _STARVED)


@dataclass(frozen=True)
class GitOutput:
    """Result of a git command.

    Attributes:
        cut: `out` is only the beginning; git was ended then.
    """

    code: int
    out: bytes
    err: str
    cut: bool = False

    @property
    def text(self) -> str:
        """Standard output without the last newline."""
        return self.out.decode(errors="surrogateescape").removesuffix("\n")

    @property
    def oid(self) -> Oid:
        """Standard output, where it is one object id."""
        return Oid(self.text.strip())


def run_git(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    ok: Sequence[int] | None = (0,),
    timeout_s: float | None = None,
    cpu_s: int | None = None,
    memory_mb: int | None = None,
    keep: Sequence[int] = (),
) -> GitOutput:
    """Run git and collect its output.

    Args:
        args: The command.
        env: Its whole environment.
        cwd: Its working folder.
        stdin: Its input.
        ok: Exit codes that count as answers; None takes every code for one.
        timeout_s: Seconds after which it is ended.
        cpu_s: Seconds of processor time after which the kernel ends it; on Linux only.
        memory_mb: Megabytes of memory that it may have, without the files that it maps and its threads' stacks. The sum
            is bounded on Linux only, a single piece everywhere.
        keep: File descriptors that the process holds as well, such as a lock that must outlive its parent.

    Raises:
        GitError: Another exit code, no end within `timeout_s` (code 124), or a failure for lack of disk, memory or file
            descriptors: that is no answer, whatever the code.
    """
    if memory_mb is not None:
        env = {**env, "GIT_ALLOC_LIMIT": f"{min(memory_mb, _ONE_PIECE_MB)}m"}
    with _started(args, env, cwd, keep) as process, _killed_on_error(process, args):
        _limit(process.pid, cpu_s, memory_mb)
        said, err = process.communicate(stdin, timeout_s)
    answer = GitOutput(process.returncode, said, err.decode(errors="replace"))
    _check(args, answer, ok)
    return answer


def _started(
    args: Sequence[str], env: Mapping[str, str], cwd: Path | None, keep: Sequence[int]
) -> "subprocess.Popen[bytes]":
    # A session of its own: ssh and git find no terminal there to ask for a password.
    return subprocess.Popen(
        ["git", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        pass_fds=tuple(keep),
        start_new_session=True,
    )


@contextmanager
def _killed_on_error(process: "subprocess.Popen[bytes]", args: Sequence[str]) -> Iterator[None]:
    """Kill git with all that it started, such as ssh, when its time is over or the wait for it is interrupted."""
    try:
        yield
    except BaseException as stop:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if isinstance(stop, subprocess.TimeoutExpired):
            raise GitError(args, TIMED_OUT, f"no answer within {stop.timeout:g} s") from None
        raise


def _check(args: Sequence[str], answer: GitOutput, ok: Sequence[int] | None) -> None:
    """Raise for an exit code that is no answer to the caller."""
    no_answer = lacking_in(answer.err) or _starved_in(answer.err)
    if answer.code and ((ok is not None and answer.code not in ok) or no_answer):
        raise GitError(args, answer.code, answer.err)


def _limit(pid: int, cpu_s: int | None, memory_mb: int | None) -> None:
    if sys.platform != "linux":
        return
    if cpu_s is not None:
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    if memory_mb is not None:
        # Git runs already. A large piece that it asks for before this is refused by its own GIT_ALLOC_LIMIT.
        most = (memory_mb << 20) + _THREADS * _stack_bytes()
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))


def _stack_bytes() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _STACK_BYTES if soft == resource.RLIM_INFINITY else soft
