"""The words that tell a model the end of its command, and the machine's interventions."""

from headway.domain.results import Ran
from headway.sandbox.cage import PIDS
from headway.sandbox.runner import CommandResult
from headway.sandbox.walls import Walls

WAITED_FOR = {
    "slot": "other builds and tests on this machine",
    "memory": "memory of this machine",
    "disk": "disk space of this machine",
    "inodes": "inodes of this machine's disk",
}
TOLD_FROM_S = 1.0
"""Waiting that is shorter is not worth a line."""


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


def remarks(result: CommandResult, walls: Walls) -> list[str]:
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
