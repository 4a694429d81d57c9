"""Starts a command that dies with the process that started it, also when that one is killed with -9.

Run as a script of its own, by path and with nothing imported but the standard library, because it stands between every
start of a child and the child: `python -I -S leash.py PARENT_PID PIPE COMMAND [ARGUMENT ...]`. It becomes the command
(same process id). On Linux the kernel holds the leash (PR_SET_PDEATHSIG, which survives exec). Elsewhere, or when PIPE
is not -1, a small watcher process stays behind and reads the pipe that only the supervisor can write to: its end is the
supervisor's end.
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_LOOK_AGAIN_S = 1.0
_CANNOT_RUN = 127


def main(arguments: list[str]) -> None:
    """Take the leash, then become the command."""
    parent, pipe, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if pipe >= 0:
        _watch(pipe)
    else:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The supervisor died before the leash was on.
        os._exit(_CANNOT_RUN)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(_CANNOT_RUN)


def _watch(pipe: int) -> None:
    """Fork a watcher that kills this process (and the program that it becomes) at the pipe's end, and ends with it."""
    held = os.getpid()
    if os.fork():
        os.close(pipe)
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while os.getppid() == held:
        ready, _, _ = select.select([pipe], [], [], _LOOK_AGAIN_S)
        if ready and not os.read(pipe, 1):
            os.kill(held, signal.SIGKILL)
            break
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
