"""Walls that need no package and no rights: Landlock for files, seccomp for sockets and kernel interfaces."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway.domain.errors import ToolError
from headway.sandbox import landlocked, seccomp
from headway.sandbox.environment import MARK, environment
from headway.sandbox.folders import own_folder
from headway.sandbox.launcher import command_shell, limits
from headway.sandbox.level import WATCHED, Launch, shell_line
from headway.sandbox.runner import Command
from headway.sandbox.visible import Visible

LEAST = 3
"""Before this version a command could empty any file of its user, by truncating it."""

_SCOPED_FROM = 6
_READ, _READ_WRITE = 0x4 | 0x8, 0x4 | 0x2
_DEVICES = {
    **dict.fromkeys(("/dev/null", "/dev/zero", "/dev/full", "/dev/tty"), _READ_WRITE),
    **dict.fromkeys(("/dev/random", "/dev/urandom", "/proc"), _READ),
}


class Landlock:
    """A command may read the machine's programs, write its workspace, and open no socket.

    It sees the workspace at the host's path. There are no namespaces: the names of files and of processes can be seen.

    Args:
        seen: What it may read of the machine.
    """

    name = "landlock+seccomp"
    keeps_processes = False
    refuses_network = "the sandbox level 'landlock+seccomp' has no network namespace, so that it opens no socket at all"

    def __init__(self, seen: Visible) -> None:
        self._rules: list[tuple[str, int]] = list(_DEVICES.items())
        for place in seen.shown:
            self._rules += [(str(part), landlocked.READ) for part in _without(place, seen.hidden)]
        program = seccomp.program(families=(), shares=False)
        self._filter = "" if program is None else program.hex()

    @property
    def not_enforced(self) -> tuple[str, ...]:
        """What it does not hold a command back from, in words."""
        scoped = landlocked.version() >= _SCOPED_FROM
        return (
            *WATCHED,
            "names: a command sees the names of files and processes everywhere",
            "metadata: a command may change the modes and times of this user's files",
            "sockets: none can be opened, also not to a server that the command itself starts",
            *(() if scoped else ("signals: a command can signal this user's other processes (Linux before 6.12)",)),
            *(() if self._filter else ("sockets: no filter of system calls is known for this processor",)),
        )

    def launch(self, command: Command, home: Path, mark: str, preamble: str = "") -> Launch:
        """How a command is started; see `Level.launch`."""
        walls = command.walls
        if not command.cwd.resolve().is_relative_to(walls.workspace.resolve()):
            raise ToolError(f"{command.cwd} is outside of the workspace: no command may start there.")
        env = environment(command, home, mark)
        env |= {"TMPDIR": str(own_folder(home, "tmp"))}
        env |= {cache.variable: str(cache.folder) for cache in walls.caches if cache.variable}
        rules = [*self._rules, *((str(place), landlocked.READ) for place in walls.readable)]
        rules += [(str(place), landlocked.WRITE) for place in (walls.workspace, *(c.folder for c in walls.caches))]
        shell = command_shell()
        status, written = os.pipe()
        order = {
            "rules": rules,
            "filter": self._filter,
            "status": written,
            "marked": {MARK: env.pop(MARK)},
            "argv": [shell, "-c", f'{limits()}; exec "$@"', shell, *shell_line(command, shell)],
        }
        read = _told(json.dumps(order).encode())
        enter = ("sh", "-c", f'{preamble}exec "$@"', "sh") if preamble else ()
        argv = [*enter, sys.executable, "-I", "-S", landlocked.__file__, str(os.getpid()), str(read)]
        return Launch(argv, command.cwd, env, (written, read), status)


def _told(order: bytes) -> int:
    fd = os.memfd_create("headway-order", 0)
    os.write(fd, order)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _without(place: Path, hidden: Iterable[Path]) -> Iterator[Path]:
    """The parts of a folder that hold nothing hidden: a rule allows all that is below, and none takes back."""
    real = place.resolve()
    inside = [other for other in hidden if other.resolve().is_relative_to(real)]
    if not inside:
        yield place
    elif real not in {other.resolve() for other in inside} and real.is_dir():
        for entry in sorted(real.iterdir()):
            if not entry.is_symlink():
                yield from _without(entry, inside)
