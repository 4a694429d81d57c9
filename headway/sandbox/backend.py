"""The interface of a sandbox backend. Time, output and cleaning up are alike for all backends."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headway.sandbox.runner import Command


@dataclass(frozen=True)
class Launch:
    """The program that is started for a command.

    Attributes:
        argv: Its arguments, the sandbox included.
        cwd: Its working folder, on the host.
        env: Its whole environment.
        fds: Descriptors that it inherits, under the same numbers; ours are closed once it is started.
        places: Folders of the host in the sandbox that may be mounts. If any is named, the command may be
            started in a namespace of mounts that holds no workspaces but these.
        status: The end of a pipe by which the sandbox says that it is set up; None where nothing can fail between the
            start and the command.
    """

    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    status: int | None = None
    places: tuple[Path, ...] = ()

    def started(self) -> None:
        """Close the descriptors that the command has inherited."""
        for fd in self.fds:
            os.close(fd)

    def stands(self) -> bool:
        """True if the sandbox was set up. Call it once, when the command is over."""
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
"""Limits that the isolating backends do not enforce without control groups."""


class Backend(Protocol):
    """A kind of sandbox.

    Attributes:
        name: The name in the run's record and in `headway doctor`.
        not_enforced: The bounds that it does not enforce, in words.
        refuses_network: Reason why a command with leave to reach out does not reach out here; empty where it does.
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
        """The program that starts a command.

        Args:
            command: The command.
            home: Its HOME, which exists.
            mark: Its name in its environment.
            preamble: Words of a shell that run first: they enter the command's group.

        Raises:
            ToolError: The command cannot be started, for a reason that the model can remove.
        """
        ...


def shell_line(command: Command, shell: str) -> list[str]:
    """The arguments that run a command line, through `policy.wrap` where there is one."""
    plain = [shell, "-c", command.line]
    if command.walls.wrap is None:
        return plain
    return [shell, "-c", f'{command.walls.wrap} "$@"', shell, *plain]
