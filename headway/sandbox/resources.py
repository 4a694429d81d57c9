"""Resources of one command: admission before it, a control group and a watchdog while it runs, an account after it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from headway.domain.errors import TransientError
from headway.sandbox.admission.admission import Admission, Waited
from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.group import PIDS, Group, Sample
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.disk_usage import Quota
from headway.sandbox.process.launcher import FILE_BYTES
from headway.sandbox.process.watchdog import DiskEnd, Watch, Watchdog
from headway.sandbox.runner import Command, CommandResult
from headway.system.bounded import Bounds, words_to_enter
from headway.system.reserve import Reserve

_MB = 1024 * 1024
_BLOCK = 512


@dataclass
class Held:
    """One command, held to its resources.

    Attributes:
        preamble: Words of a shell that go into the group and set limits; the command comes after them.
    """

    command: Command
    waited: Waited
    cage: Group | None
    watchdog: Watchdog
    quota: Quota | None
    watch: Watch | None = None
    before: Sample = field(default_factory=Sample)

    @property
    def preamble(self) -> str:
        """The shell's words that enter the group and bound the size of a file; empty where nothing is bounded."""
        doors = () if self.cage is None else self.cage.doors
        words = [words_to_enter(doors)]
        if self.quota is not None and self.quota.mb * _MB < FILE_BYTES:
            words.append(f"ulimit -f {self.quota.mb * _MB // _BLOCK}; ")
        return "".join(words)

    def started(self, pid: int, mark: str) -> Watch:
        """Note the start of the command. The watch's `broken` is done when it breaks a limit that only we enforce."""
        walls, caged = self.command.walls, self.cage is not None
        self.watch = Watch(
            agent=walls.agent,
            workspace=walls.workspace,
            pid=pid,
            mark=mark,
            quota=self.quota,
            memory_mb=None if caged else walls.memory_mb,
            pids=None if caged else PIDS,
            tracked=walls.tracked,
        )
        self.watchdog.add(self.watch)
        return self.watch

    def kill(self) -> None:
        """Kill the processes in the group."""
        if self.cage is not None:
            self.cage.kill()

    async def over(self) -> DiskEnd:
        """Note the end of the command. Returns the state in which it left its workspace."""
        return DiskEnd() if self.watch is None else await self.watchdog.over(self.watch)

    def account(self, result: CommandResult, disk: DiskEnd) -> CommandResult:
        """The result with the counts of the kernel and the watchdog."""
        after = self.before if self.cage is None else self.cage.read()
        peak = after.peak_kb if after.peak_kb != self.before.peak_kb else None
        if self.cage is None and self.watch is not None:
            peak = self.watch.peak_kb
        cpu_s = result.cpu_s
        if after.cpu_s is not None and self.before.cpu_s is not None:
            cpu_s = round(after.cpu_s - self.before.cpu_s, 6)
        return replace(
            result,
            cpu_s=cpu_s,
            tree_peak_kb=peak,
            out_of_memory=result.killed_for == "oom" or after.oom_kills > self.before.oom_kills,
            forks_refused=after.forks_refused - self.before.forks_refused,
            disk_full=disk.over,
            removed_files=disk.removed.files,
            removed_mb=round(disk.removed.mb),
            waited_s=self.waited.seconds,
            waited_for=self.waited.why,
        )


class Resources:
    """The resources of this process's commands. For one event loop.

    Args:
        cages: Control groups for the commands; None where the kernel allows none.
        gates: Admission of a command before its start.
        quota: The most that a workspace may take, unless its spec says otherwise.
        reserve: Room on the disk for the services, which no command can take.
    """

    def __init__(
        self,
        cages: Groups | None = None,
        gates: Admission | None = None,
        quota: Quota | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self.cages = cages
        self.gates = gates
        self.quota = quota
        self.reserve = reserve
        self._watchdog = Watchdog(reserve)
        if reserve is not None:
            reserve.keep()

    @classmethod
    def of_machine(cls, home: Path, *, heavy: int, disk_mb: int, io_mb_s: int) -> Self:
        """The resources of this machine for the commands of one state folder.

        Args:
            home: The state folder.
            heavy: Builds and tests at once.
            disk_mb: The most that one workspace may take; 0 for what its disk allows.
            io_mb_s: Megabytes a second that one agent may read, and write, of the disk; 0 for any.
        """
        quota = Quota(disk_mb) if disk_mb else Quota.usual(home)
        bandwidth = Bandwidth.of(home, io_mb_s) if io_mb_s else None
        return cls(Groups.detect(bandwidth=bandwidth), Admission(home / "gates", heavy), quota, Reserve(home))

    @property
    def enforced(self) -> frozenset[str]:
        """Topics of `not_enforced` that are enforced here at every level."""
        if self.cages is None:
            return frozenset()
        known = {"memory": "memory", "pids": "forks"}
        return frozenset({"daemons"} | {topic for name, topic in known.items() if name in self.cages.limits})

    @contextlib.asynccontextmanager
    async def around(self, command: Command) -> AsyncIterator[Held]:
        """A command's life. Waits for admission first, which is not the command's time.

        Raises:
            ToolError: The machine's disk is too full for commands.
            TransientError: The kernel refuses to make a group just now.
        """
        walls = command.walls
        quota = self.quota if walls.disk_mb is None else Quota(walls.disk_mb)
        async with contextlib.AsyncExitStack() as stack:
            passed = None if self.gates is None else self.gates.passed(command.line)
            waited = Waited() if passed is None else await stack.enter_async_context(passed)
            held = Held(command, waited, None, self._watchdog, quota)
            if self.cages is not None:
                stack.enter_context(self.cages.using(walls.agent))
                held.cage = self._group_of(walls.agent, walls.memory_mb)
                held.cage.reset_peak()
                held.before = held.cage.read()
            yield held

    @contextlib.contextmanager
    def reading(self, agent: str, memory_mb: int) -> Iterator[Bounds]:
        """The bounds of a program that reads for an agent: it runs in the agent's group, next to the agent's commands.

        Raises:
            TransientError: The kernel refuses to make a group just now.
        """
        if self.cages is None or "memory" not in self.cages.limits:
            yield Bounds(memory_mb=memory_mb)
            return
        with self.cages.using(agent):
            yield Bounds(self._group_of(agent, memory_mb).doors, memory_mb)

    def close(self) -> None:
        """Kill all processes that still run, and leave no control group behind."""
        if self.cages is not None:
            self.cages.close()

    def note(self, command: Command, result: CommandResult) -> None:
        """Learn from a command that is over."""
        if self.gates is not None:
            self.gates.note(command.line, result.cpu_s)

    def alone(self, held: Held) -> bool:
        """True if no other command of the same agent runs."""
        return self.cages is None or self.cages.users(held.command.walls.agent) <= 1

    def _group_of(self, agent: str, memory_mb: int) -> Group:
        assert self.cages is not None
        try:
            return self.cages.of(agent, memory_mb)
        except OSError as error:
            raise TransientError(f"no control group could be made for a command: {error}") from error
