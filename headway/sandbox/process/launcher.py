"""Arguments that start a command under resource limits and a death signal, so that its processes do not outlive us."""

import functools
import os
import resource
import shutil
import subprocess
import sys

_NO_CORE_DUMPS = 0
FILE_BYTES = 2 * 1024**3
"""The largest file that a command may write."""

_OPEN_FILES = 4096
_ULIMIT_BLOCK = 512
_QUEUED_SIGNALS = 4096
"""The kernel counts queued signals and timers by user; without a limit one command takes those of the services."""

_SHELL = "sh"
# Its first process tells whether we died before the death signal was set: then it has another parent already.
_SCRIPT = '[ "$PPID" = "$1" ] || exit 1; {limits}; shift; exec "$@"'


def argv(shown: list[str], preamble: str = "") -> list[str]:
    """The arguments that run a command under a death signal and resource limits.

    The limits are set by a shell that then becomes the command, because code of ours between fork and exec could hang
    in a process with threads.
    """
    return [*_death_signal(), _SHELL, "-c", _SCRIPT.format(limits=limits(preamble)), _SHELL, str(os.getpid()), *shown]


def limits(preamble: str = "") -> str:
    """The words of a shell that set the limits of the command, before those that go into its group.

    A file size that is smaller already, for the sake of a quota, cannot be raised and stays.
    """
    blocks = _at_most(resource.RLIMIT_FSIZE, FILE_BYTES) // _ULIMIT_BLOCK
    files = _at_most(resource.RLIMIT_NOFILE, _OPEN_FILES)
    return f"ulimit -c {_NO_CORE_DUMPS}; ulimit -f {blocks} 2>/dev/null; ulimit -n {files}; {preamble}:"


@functools.cache
def limit_queued_signals() -> None:
    """Lower this process's own limit on queued signals, which its commands inherit.

    `sh` has no word for it, and a program that sets it would cost each command a millisecond.
    """
    if sys.platform != "linux":
        return
    most = _at_most(resource.RLIMIT_SIGPENDING, _QUEUED_SIGNALS)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (most, most))


@functools.cache
def _death_signal() -> tuple[str, ...]:
    """setpriv, of util-linux, sets it in 1 ms; a Python launcher takes 17."""
    setpriv = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        tried = subprocess.run([*setpriv, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return setpriv if tried.returncode == 0 else ()


@functools.cache
def command_shell() -> str:
    """Models write for bash."""
    return shutil.which("bash") or _SHELL


def _at_most(limit: int, wanted: int) -> int:
    _, hard = resource.getrlimit(limit)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
