"""The interface of a sandbox: one command of a model, its result, and the place that runs it in isolation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from headway.sandbox.spec import SandboxSpec

KilledFor = Literal["timeout", "output_limit", "cancelled", "oom", "processes", "disk_quota", "disk_full"]
"""`disk_full` is the machine's disk, `disk_quota` the workspace's. `oom` and `processes` come from the watchdog, where
no group holds a command to its limits."""


@dataclass(frozen=True)
class Command:
    """One command line, for the shell.

    Attributes:
        line: As the model wrote it.
        cwd: Its working folder; exists.
        timeout_s: Seconds after which it is killed with everything it started.
        walls: Its sandbox; the level says which parts are enforced.
        env: Additions to the minimal environment. Never secrets: the command is not trusted.
        home: The command's HOME; by default `.headway/home` in `cwd`. Made if it is missing.
        redact: Takes secrets out of its output, before any of it is cut. The full output in a file is not changed.
    """

    line: str
    cwd: Path
    timeout_s: float
    walls: SandboxSpec
    env: Mapping[str, str] = field(default_factory=dict)
    home: Path | None = None
    redact: Callable[[str], str] | None = None


@dataclass(frozen=True)
class CommandResult:
    """Result of a command.

    Attributes:
        exit_code: By the convention of shells, 128 + n after signal n; None if the sandbox killed it.
        seconds: From its start to its end.
        output: Standard output and error as one text, fit for a model: its head and tail if it was long, without
            terminal codes and overwritten progress, no line over 2,000 characters.
        output_cut: Something was left out of `output`.
        output_bytes: All that it wrote, as far as it was read.
        killed_for: Reason for which the sandbox killed it; None if it did not. `output` holds what it had said by then.
        cpu_s: Processor time of the command and of the children that it waited for; None where the system does not
            tell.
        peak_kb: The largest resident size of one of its processes; None if that is less than our own, which the system
            does not tell apart.
        tree_peak_kb: Most memory of all its processes together, file cache included; None where nothing counts it, or
            where an earlier command of its agent used more.
        out_of_memory: A process of it was killed because its agent's memory was used up. The shell may have gone on.
        forks_refused: Number of processes that it was refused.
        disk_full: Its workspace is over its quota.
        removed_files: Number of files that it wrote and that were removed, because it was killed for them.
        removed_mb: Size of those files.
        waited_s: Seconds before its start, for admission. Not part of `seconds`, nor of its timeout.
        waited_for: Reasons of that wait: "slot", "memory", "disk", "inodes".
    """

    exit_code: int | None
    seconds: float
    output: str
    output_cut: bool
    output_bytes: int
    killed_for: KilledFor | None = None
    cpu_s: float | None = None
    peak_kb: int | None = None
    tree_peak_kb: int | None = None
    out_of_memory: bool = False
    forks_refused: int = 0
    disk_full: bool = False
    removed_files: int = 0
    removed_mb: int = 0
    waited_s: float = 0.0
    waited_for: tuple[str, ...] = ()


class Sandbox(Protocol):
    """A place for commands.

    Attributes:
        level: Its name, as the run's header and `headway doctor` show it.
        not_enforced: The bounds that it does not enforce, in words.
        refuses_network: Reason why a command with leave to reach out does not reach out on this machine; empty where it
            does.
    """

    @property
    def level(self) -> str: ...

    @property
    def not_enforced(self) -> tuple[str, ...]: ...

    @property
    def refuses_network(self) -> str: ...

    async def run(self, command: Command, *, full_output: Path | None = None) -> CommandResult:
        """Run a command to its end; cancelling this call kills it with everything it started.

        Args:
            command: The command.
            full_output: A file for the first 8 MB of the output as it comes, byte for byte.

        Raises:
            ToolError: The command cannot even be started, for a reason that the model can remove.
            TransientError: The sandbox could not be set up; the command did not run.
        """
        ...
