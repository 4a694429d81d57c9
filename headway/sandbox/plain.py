"""The weakest sandbox: it bounds time, output and a few resources, and it cleans up. It walls nothing in."""

import asyncio
from pathlib import Path
from typing import Any

from headway.domain.errors import ToolError
from headway.sandbox.environment import environment
from headway.sandbox.job import Ended, Job
from headway.sandbox.keeper import KEEPER
from headway.sandbox.launcher import argv
from headway.sandbox.output import Capture
from headway.sandbox.runner import Command, CommandResult, KilledFor

OUTPUT_CAP_BYTES = 64 * 1024 * 1024
PIPE_GRACE_S = 1.0
"""How long a finished command's background processes may still write; then they are killed."""


class PlainSandbox:
    """Commands run as this user, each in a session of its own, with a minimal environment.

    Held to: its timeout, 64 MB of output, no core dumps, files up to 2 GB, 4,096 open files. When a command ends, what
    is left of its process group is killed; when it is killed, or this process dies by whatever cause, so is everything
    that carries its mark (a process that detaches and also clears its environment is never found). What it does not
    hold a command back from is in `not_enforced`.
    """

    level = "plain"
    not_enforced = (
        "filesystem: a command reads and writes whatever this user may, other workspaces included",
        "network: a command reaches whatever this machine reaches, this machine's own services included",
        "memory: only the machine's own limits hold",
        "processes: their number is not limited, and a command can read this user's other processes and signal them",
        "daemons: a process that detaches from its session lives on after its command's ordinary end",
    )

    async def run(self, command: Command, *, full_output: Path | None = None) -> CommandResult:
        """Run a command to its end; see `Sandbox.run`."""
        capture = Capture(full_output)
        job = _start(command, capture)
        try:
            killed_for = await _until_over(job, command.timeout_s)
        except asyncio.CancelledError:
            await _abandon(job)
            raise
        settling = asyncio.ensure_future(job.settle(hunt=killed_for is not None))
        try:
            ended = await asyncio.shield(settling)
        except asyncio.CancelledError:
            await asyncio.wait({settling})
            raise
        return _result(job, capture, ended, killed_for)


def _start(command: Command, capture: Capture) -> Job:
    if "\0" in command.line:
        raise ToolError("The command holds a NUL character; no shell takes that.")
    if not command.cwd.is_dir():
        raise ToolError(f"{command.cwd} is not a folder: name an existing one as workdir.")
    home = command.home or command.cwd / ".headway" / "home"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"{home} cannot be made, which commands need as their HOME: {error.strerror}.") from error
    mark = KEEPER.mark()
    env = environment(command, home, mark)
    try:
        return Job(argv(command.line), cwd=command.cwd, env=env, mark=mark, capture=capture, cap=OUTPUT_CAP_BYTES)
    except OSError as error:
        raise ToolError(f"The command could not be started: {error.strerror}. Long text belongs in a file.") from error


async def _until_over(job: Job, timeout_s: float) -> KilledFor | None:
    await _first(timeout_s, job.exited, job.flooded)
    if job.exited.done():
        await _first(PIPE_GRACE_S, job.closed, job.flooded)
        return None
    return "output_limit" if job.flooded.done() else "timeout"


async def _first(timeout_s: float, *futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _abandon(job: Job) -> None:
    """Kill at once; a second cancellation must not leave anything behind, and does not wait for the rest."""
    job.kill()
    await asyncio.shield(job.settle(hunt=True))


def _result(job: Job, capture: Capture, ended: Ended, killed_for: KilledFor | None) -> CommandResult:
    output, cut = capture.text()
    return CommandResult(
        exit_code=ended.exit_code if killed_for is None else None,
        seconds=job.exited.result() - job.started if job.exited.done() else 0.0,
        timed_out=killed_for == "timeout",
        output=output,
        output_cut=cut or job.flooded.done(),
        output_bytes=capture.total,
        killed_for=killed_for,
        cpu_s=ended.cpu_s,
        peak_kb=ended.peak_kb,
    )
