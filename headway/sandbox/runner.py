"""What it is to run one command of a model, whatever wall stands around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from headway.sandbox.walls import Walls

KilledFor = Literal["timeout", "output_limit", "cancelled", "oom", "processes", "disk_quota", "disk_full"]
"""`disk_full` is the machine's disk, `disk_quota` the workspace's. `oom` and `processes` come from the watchdog, where
no cage holds a command to its limits."""


@dataclass(frozen=True)
class Command:
    """One command line, for the shell.

    Attributes:
        line: As the model wrote it.
        cwd: Where it runs; exists.
        timeout_s: Seconds after which it is killed with everything it started.
        walls: What stands around it; how much of that is enforced is the sandbox's level.
        env: Additions to the minimal environment. Never secrets: what runs here is not trusted.
        home: The command's HOME; by default `.headway/home` in `cwd`. Made if it is missing.
        redact: Takes secrets out of its output, before any of it is cut. The full output in a file is not changed.
    """

    line: str
    cwd: Path
    timeout_s: float
    walls: Walls
    env: Mapping[str, str] = field(default_factory=dict)
    home: Path | None = None
    redact: Callable[[str], str] | None = None


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Attributes:
        exit_code: As a shell tells it, 128 + n after signal n; None if the sandbox killed it.
        seconds: From its start to its end.
        timed_out: It was killed at its timeout; `output` holds what it had said by then.
        output: Standard output and error as one text, fit for a model: its head and tail if it was long, without
            terminal codes and overwritten progress, no line over 2,000 characters.
        output_cut: Something was left out of `output`.
        output_bytes: All that it wrote, as far as it was read.
        killed_for: Why the sandbox killed it, if it did.
        cpu_s: Processor time of the command and what it waited for, where the system tells.
        peak_kb: The largest resident size of one of its processes; None if that is less than our own, which the system
            does not tell apart.
        tree_peak_kb: Most memory of all its processes together, file cache included; None where nobody counts it, or
            where an earlier command of its agent used more.
        out_of_memory: A process of it was killed because its agent's memory was used up. The shell may have gone on.
        forks_refused: How often it was refused another process.
        disk_full: Its workspace is over its quota.
        removed_files: How many files that it wrote were removed, because it was killed for them.
        removed_mb: What they took.
        waited_s: Seconds before its start, at the gates of the machine. Not part of `seconds`, nor of its timeout.
        waited_for: What for: "slot", "memory", "disk", "inodes".
    """

    exit_code: int | None
    seconds: float
    timed_out: bool
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
        not_enforced: What it does not hold a command back from, in words.
        refuses_network: Why a command that may reach out does not, on this machine; empty where it does.
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
            command: What to run.
            full_output: A file for the first 8 MB of the output as it comes, byte for byte.

        Raises:
            ToolError: The command cannot even be started, for a reason that the model can mend.
            TransientError: What should stand around it could not be put up; it did not run.
        """
        ...
