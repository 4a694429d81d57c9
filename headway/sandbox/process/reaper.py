"""The reaper outlives its process by a moment, to end the commands that are still running then.

A command's first process gets a death signal from the kernel when we die, by whatever cause; its children get none. So
a tiny shell, one for all commands, holds the other end of a pipe of ours. We tell it which groups run. When the pipe
breaks, which is when we are gone, it kills those groups, and every process that carries our mark.
"""

import atexit
import contextlib
import os
import subprocess
import threading
import uuid

_SCRIPT = """
groups=
while read -r what group; do
    case $what in
        +) groups="$groups $group" ;;
        -) kept=
           for other in $groups; do [ "$other" = "$group" ] || kept="$kept $other"; done
           groups=$kept ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
[ -d /proc/self ] || exit 0
grep -ls "$1" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do kill -s KILL "$pid"; done
"""


class Reaper:
    """One per process; safe for threads. After a fork the child process has a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._owner = 0
        self._token = ""
        self._shell: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        atexit.register(self.close)

    def mark(self) -> str:
        """A new name for a command, that no other command of any process has."""
        with self._lock:
            self._be_mine()
            self._number += 1
            if self._shell is None:
                self._start()  # before the command, so that at no moment a command is without a reaper
            return f"{self._token}.{self._number};"

    def add(self, group: int) -> None:
        """Kill this process group when this process is gone."""
        with self._lock:
            self._be_mine()
            self._groups.add(group)
            self._tell(f"+ {group}\n")

    def remove(self, group: int) -> None:
        """The group is over; to be said before its leader is waited for, since then its number may be another's."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"- {group}\n")

    def close(self) -> None:
        """Let the reaper do its work now, and wait for it."""
        with self._lock:
            shell, self._shell = self._shell, None
            if shell is None or self._owner != os.getpid():
                return
            assert shell.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                shell.stdin.close()
            shell.wait()

    def _be_mine(self) -> None:
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._token = uuid.uuid4().hex
            if self._shell is not None:
                self._shell.returncode = 0  # we were forked: it is our parent's to wait for
            self._shell = None
            self._groups = set()

    def _tell(self, line: str) -> None:
        if self._shell is not None:
            assert self._shell.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._shell.stdin.write(line.encode())
                return
            self._shell.wait()  # only a killed reaper breaks the pipe
            self._shell.stdin.close()
            self._shell = None
        if self._groups:
            self._start()

    def _start(self) -> None:
        """Start the shell and tell it of every group, also after the last shell was killed."""
        self._shell = subprocess.Popen(
            ["sh", "-c", _SCRIPT, "headway-keeper", self._token],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,  # a Ctrl-C, or a kill of our own group, must not reach it
        )
        assert self._shell.stdin is not None
        self._shell.stdin.write("".join(f"+ {group}\n" for group in sorted(self._groups)).encode())


KEEPER = Reaper()
