"""One way to put walls around a command. The rest, time and output and cleaning up, is the same at every level."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headway.sandbox.runner import Command


@dataclass(frozen=True)
class Launch:
    """What is started for a command.

    Attributes:
        argv: Its arguments, the walls included.
        cwd: Where it is started, on the host.
        env: Its whole environment.
        fds: Descriptors that it inherits, under the same numbers; ours are closed once it is started.
        places: Folders of the host that the walls show of those that may be mounts. If any is named, the command may be
            started in a namespace of mounts that holds no workspaces but these.
        status: The end of a pipe on which the walls say that they stand; None where nothing can fail between the start
            and the command.
    """

    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    status: int | None = None
    places: tuple[Path, ...] = ()

    def started(self) -> None:
        """Let go of what the command has inherited."""
        for fd in self.fds:
            os.close(fd)

    def stands(self) -> bool:
        """Whether the walls came to stand; to be asked once, when the command is over."""
        if self.status is None:
            return True
        with suppress(BlockingIOError):
            os.set_blocking(self.status, False)
            said = os.read(self.status, 4096)
            os.close(self.status)
            return b"exit-code" in said
        os.close(self.status)
        return False


WATCHED = (
    "memory: a watchdog looks once a second, so that a quick hog can still press the machine",
    "buffers: memory in sockets, pipes and detached System V segments is not counted",
    "forks: a watchdog looks once a second, so that a quick bomb can still press the machine",
)
"""What is not enforced without control groups, at the levels that wall in."""


class Level(Protocol):
    """A kind of wall.

    Attributes:
        name: As the run's record and `headway doctor` show it.
        not_enforced: What it does not hold a command back from, in words.
        refuses_network: Why a command that may reach out does not, here; empty where it does.
        keeps_processes: Nothing that a command starts can outlive it.
    """

    @property
    def name(self) -> str: ...

    @property
    def not_enforced(self) -> tuple[str, ...]: ...

    @property
    def refuses_network(self) -> str: ...

    @property
    def keeps_processes(self) -> bool: ...

    def launch(self, command: Command, home: Path, mark: str, preamble: str = "") -> Launch:
        """How a command is started.

        Args:
            command: The command.
            home: Its HOME, which exists.
            mark: Its name in its environment.
            preamble: Words of a shell, to be run before anything else of it: they go into its cage.

        Raises:
            ToolError: It cannot be, for a reason that the model can mend.
        """
        ...


def shell_line(command: Command, shell: str) -> list[str]:
    """The arguments that run a command line, through `policy.wrap` where there is one."""
    plain = [shell, "-c", command.line]
    if command.walls.wrap is None:
        return plain
    return [shell, "-c", f'{command.walls.wrap} "$@"', shell, *plain]
