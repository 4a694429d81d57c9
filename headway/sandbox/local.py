"""Runs commands: bounds their time and output, cleans up after them, and leaves isolation to a backend."""

import asyncio
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

from headway.domain.errors import ToolError, TransientError
from headway.sandbox.backend import Backend, Launch
from headway.sandbox.process.launcher import limit_queued_signals
from headway.sandbox.process.orphans import ORPHANS
from headway.sandbox.process.output import Capture
from headway.sandbox.process.reaper import KEEPER
from headway.sandbox.process.running_command import Ended, RunningCommand
from headway.sandbox.process.watchdog import DiskEnd, Watch
from headway.sandbox.resources import Held, Resources
from headway.sandbox.runner import Command, CommandResult, KilledFor
from headway.system.shortage import raise_if_short, waited_for
from headway.system.tasks import until_ended

OUTPUT_CAP_BYTES = 64 * 1024 * 1024
PIPE_GRACE_S = 1.0
"""Seconds in which the background processes of a finished command may still write; then they are killed."""
NOT_STARTED = "the command could not be started"


class LocalSandbox:
    """Commands on this machine, each in a session of its own, with a minimal environment, isolated by a backend.

    These bounds hold at every level: a timeout, 64 MB of output, no core dumps, files up to 2 GB, 4,096 open files.
    When a command ends, the rest of its process group is killed. When it is killed, or this process dies by whatever
    cause, every process that carries its mark is killed. `resources` adds further bounds: memory, processes, disk,
    admission.
    """

    def __init__(self, level: Backend, resources: Resources | None = None, name: str = "") -> None:
        self._level = level
        self._name = name or level.name
        self._resources = resources or Resources()
        limit_queued_signals()
        if not level.keeps_processes:
            ORPHANS.adopt()

    @property
    def level(self) -> str:
        """Name of the level, as the run's header and `headway doctor` show it."""
        return self._name

    @property
    def not_enforced(self) -> tuple[str, ...]:
        """The bounds that are not enforced, in words."""
        held = self._resources.enforced
        return tuple(words for words in self._level.not_enforced if words.partition(":")[0] not in held)

    @property
    def refuses_network(self) -> str:
        """Reason why a command with leave to reach out does not reach out; empty where it does."""
        return self._level.refuses_network

    async def run(self, command: Command, *, full_output: Path | None = None) -> CommandResult:
        """Run a command to its end; see `Sandbox.run`."""
        with waited_for(NOT_STARTED):
            capture = Capture(full_output, command.redact)
        with closing(capture):
            return await self._run(command, capture)

    async def _run(self, command: Command, capture: Capture) -> CommandResult:
        async with AsyncExitStack() as stack:
            with waited_for(NOT_STARTED):
                held = await stack.enter_async_context(self._resources.around(command))
                launch, job = _start(self._level, command, capture, held.preamble)
            watch = held.started(job.pid, job.mark)
            try:
                killed_for = await _until_over(job, watch, command.timeout_s)
            except asyncio.CancelledError:
                # At once; a second cancellation must not leave anything behind, and does not wait for the rest.
                job.kill()
                await asyncio.shield(self._settle(job, held, killed=True))
                launch.stands()
                raise
            settling = asyncio.ensure_future(self._settle(job, held, killed=killed_for is not None))
            try:
                ended, disk = await asyncio.shield(settling)
            except asyncio.CancelledError:
                await until_ended(settling)
                launch.stands()
                raise
            stood = launch.stands()
            if self._level.keeps_processes:  # its inner children are not counted outside of its namespace
                ended = Ended(ended.exit_code, None, None)
            result = held.account(_result(job, capture, ended, killed_for), disk)
            # The kernel may kill the sandbox of a command that is out of memory; it ran all the same.
            if not (stood or result.out_of_memory or killed_for) and result.exit_code != 0:
                raise TransientError(f"the walls around a command could not be put up: {result.output.strip()[-500:]}")
        self._resources.note(command, result)
        return result

    async def _settle(self, job: RunningCommand, held: Held, *, killed: bool) -> tuple[Ended, DiskEnd]:
        """End the rest of a command. Returns its end, and the state in which it left its workspace."""
        contained = self._level.keeps_processes
        if (killed or not contained) and self._resources.alone(held):
            held.kill()
        ended = await job.settle(hunt=killed and not contained and held.cage is None)
        if not contained:
            ORPHANS.over(job.pid)
            ORPHANS.bury()
        return ended, await held.over()


def _start(level: Backend, command: Command, capture: Capture, preamble: str) -> tuple[Launch, RunningCommand]:
    if "\0" in command.line:
        raise ToolError("The command holds a NUL character; no shell takes that.")
    if not command.cwd.is_dir():
        raise ToolError(f"{command.cwd} is not a folder: name an existing one as workdir.")
    home = command.home or command.cwd / ".headway" / "home"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise_if_short(error, f"{home} cannot be made")
        raise ToolError(f"{home} cannot be made, which commands need as their HOME: {error.strerror}.") from error
    mark = KEEPER.mark()
    launch = level.launch(command, home, mark, preamble)
    try:
        return launch, RunningCommand(launch, mark=mark, capture=capture, cap=OUTPUT_CAP_BYTES)
    except OSError as error:
        launch.stands()
        raise_if_short(error, NOT_STARTED)
        raise ToolError(f"The command could not be started: {error.strerror}. Long text belongs in a file.") from error


async def _until_over(job: RunningCommand, watch: Watch, timeout_s: float) -> KilledFor | None:
    await _first(timeout_s, job.exited, job.flooded, watch.broken)
    if job.exited.done():
        await _first(PIPE_GRACE_S, job.closed, job.flooded)
        return None
    if watch.broken.done():
        return watch.broken.result()
    return "output_limit" if job.flooded.done() else "timeout"


async def _first(timeout_s: float, *futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _result(job: RunningCommand, capture: Capture, ended: Ended, killed_for: KilledFor | None) -> CommandResult:
    output, cut = capture.text()
    return CommandResult(
        exit_code=ended.exit_code if killed_for is None else None,
        seconds=job.exited.result() - job.started if job.exited.done() else 0.0,
        output=output,
        output_cut=cut or job.flooded.done(),
        output_bytes=capture.total,
        killed_for=killed_for,
        cpu_s=ended.cpu_s,
        peak_kb=ended.peak_kb,
    )
