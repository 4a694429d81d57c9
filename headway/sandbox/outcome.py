"""The result of a command: the words for the model, and the facts for the log."""

from typing import ClassVar

from headway.domain.results import Result
from headway.domain.retention import Keep
from headway.sandbox.cgroup.group import PIDS
from headway.sandbox.runner import CommandResult
from headway.sandbox.spec import SandboxSpec

WAITED_FOR = {
    "slot": "other builds and tests on this machine",
    "memory": "memory of this machine",
    "disk": "disk space of this machine",
    "inodes": "inodes of this machine's disk",
}
TOLD_FROM_S = 1.0
"""Waiting that is shorter is not worth a line."""

INTERRUPTED = "interrupted"
"""The note on a command that a crash cut short."""


class Ran(Result):
    """A command, by `shell`.

    Attributes:
        note: Its end, where it did not end by itself.
        cpu_s: Processor time in seconds.
        peak_kb, tree_peak_kb: The most memory of one process, and of all together.
        forks_refused: Number of processes that it was refused.
        disk_full: The workspace went over its disk quota.
        removed_files, removed_mb: Of its files, those that were removed for that.
        waited_s, waited_for: The time before its start, in seconds, and the short resources of the machine.
    """

    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = ("cpu_s", "peak_kb")
    active: ClassVar[bool] = True

    command: str
    exit_code: int | None
    note: str
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


def how_it_ended(result: CommandResult) -> str:
    """In a few words, how a command ended."""
    match result.killed_for:
        case None if result.out_of_memory:
            return f"exit code {result.exit_code}, out of memory"
        case None:
            return f"exit code {result.exit_code}"
        case "timeout":
            return f"killed: timed out after {result.seconds:.0f} s"
        case "oom":
            return "killed: out of memory"
        case "processes":
            return "killed: too many processes"
        case "disk_quota":
            return "killed: the workspace is over its disk quota"
        case "disk_full":
            return "killed: the machine's disk is full"
        case why:
            return f"killed: {why.replace('_', ' ')}"


def remarks(result: CommandResult, walls: SandboxSpec) -> list[str]:
    """The machine's interventions in a command, each in a sentence; the model could not know otherwise."""
    said = []
    if result.out_of_memory:
        peak = "" if result.tree_peak_kb is None else f" It used {result.tree_peak_kb // 1024} MB."
        said.append(
            f"Out of memory: your commands may use {walls.memory_mb} MB together, and a process was killed for it, "
            f"perhaps in the middle of its work.{peak} Use fewer parallel jobs or less data."
        )
    if result.forks_refused or result.killed_for == "processes":
        said.append(f"Your commands may have {PIDS} processes and threads at once; more were refused.")
    if result.disk_full:
        said.append(
            "Your workspace is over its disk quota: a command that makes it larger is killed. "
            "Remove what you do not need, build outputs and caches first."
        )
    if result.removed_files:
        said.append(
            f"{result.removed_files} files that the command wrote ({result.removed_mb} MB) were removed, the largest "
            "first. Files of the repository stay as they are."
        )
    if result.waited_s >= TOLD_FROM_S:
        what = " and ".join(WAITED_FOR[why] for why in dict.fromkeys(result.waited_for))
        said.append(f"Waited {result.waited_s:.0f} s for {what} before the start; that is not part of its time.")
    return said


def measured(command: str, note: str, result: CommandResult) -> Ran:
    """Result of a command for the log; `note` says how it ended where that was not by itself."""
    return Ran(
        command=command,
        exit_code=result.exit_code,
        note=note,
        cpu_s=result.cpu_s,
        peak_kb=result.peak_kb,
        tree_peak_kb=result.tree_peak_kb or None,
        out_of_memory=result.out_of_memory,
        forks_refused=result.forks_refused,
        disk_full=result.disk_full,
        removed_files=result.removed_files,
        removed_mb=result.removed_mb,
        waited_s=round(result.waited_s, 3),
        waited_for=result.waited_for,
    )
