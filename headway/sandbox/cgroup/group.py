"""The control group of one agent, with the kernel's counters for it."""

import contextlib
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import short_hash
from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.hierarchy import Hierarchy

PIDS = 512
"""Processes and threads of one agent at once. Only a control group bounds them for root."""

_MB = 1024 * 1024
_KILL_ROUNDS = 50
_SLUG_CHARS = 80


@dataclass(frozen=True)
class Sample:
    """The kernel's counters for a group, since the group was made.

    Attributes:
        oom_kills: Processes that it killed because the group was out of memory.
        peak_kb: Most memory at once since the last reset, file cache included; None without a memory controller.
        cpu_s: Processor time of everything that ran in it.
        pids: Processes and threads now; zombies count.
        forks_refused: Forks that the limit on processes refused.
    """

    oom_kills: int = 0
    peak_kb: int | None = None
    cpu_s: float | None = None
    pids: int = 0
    forks_refused: int = 0


@dataclass(frozen=True)
class Group:
    """The group of one agent. Its limits hold for everything that its commands start, together."""

    agent: str
    name: str
    where: Hierarchy
    folders: tuple[Path, ...]

    @property
    def doors(self) -> tuple[Path, ...]:
        """A process that writes 0 into each of these files is inside."""
        return tuple(folder / self.where.door for folder in self.folders)

    @property
    def enter(self) -> tuple[str, ...]:
        """Words before a command's arguments: a shell that enters the group, or exits with 125, and becomes it."""
        script = "".join(f"echo 0 >'{door}' && " for door in self.doors)
        return ("sh", "-c", f'{{ {script}:; }} || exit 125; exec "$@"', "sh")

    def limit(self, memory_mb: int, pids: int, bandwidth: Bandwidth | None = None) -> None:
        """Set the limits for all commands of the agent together."""
        v2 = self.where.kind == "v2"
        if (memory := self._folder("memory")) is not None:
            # Only the hog is killed, as in version 1: with memory.oom.group the kernel would kill bwrap and every
            # other command of the agent with it.
            limit_memory(memory, memory_mb * _MB, v2=v2)
        if (tasks := self._folder("pids")) is not None:
            write(tasks / "pids.max", str(pids))
        if bandwidth is not None and (disk := self._folder("io")) is not None:
            for name, text in bandwidth.files(v2=v2).items():
                write(disk / name, text)

    def read(self) -> Sample:
        """The counters now. Cheap: a few files of the kernel."""
        v2 = self.where.kind == "v2"
        memory, pids = self._folder("memory"), self._folder("pids")
        peak = _number(memory, "memory.peak" if v2 else "memory.max_usage_in_bytes")
        return Sample(
            oom_kills=_field(memory, "memory.events" if v2 else "memory.oom_control", "oom_kill") or 0,
            peak_kb=None if peak is None else peak // 1024,
            cpu_s=self._cpu_s(),
            pids=_number(pids, "pids.current") or 0,
            forks_refused=_field(pids, "pids.events", "max") or 0,
        )

    def _cpu_s(self) -> float | None:
        if self.where.kind == "v2":
            used = _field(self._folder("usage"), "cpu.stat", "usage_usec")
            return None if used is None else used / 1e6
        used = _number(self._folder("usage"), "cpuacct.usage")
        return None if used is None else used / 1e9

    def reset_peak(self) -> None:
        """Begin a new peak of memory, where the kernel can; version 2 cannot by writing to a file that is shared."""
        if self.where.kind == "v1" and (memory := self._folder("memory")) is not None:
            write(memory / "memory.max_usage_in_bytes", "0")

    def members(self) -> set[int]:
        """The processes inside, zombies left out."""
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split()}
        return found - {0}

    def kill(self) -> None:
        """Kill every process inside, however it came to be; all are told by its return, and gone soon after."""
        if self.where.kind == "v2" and write(self.folders[0] / "cgroup.kill", "1"):
            return
        pids = self._folder("pids")
        limit = None if pids is None else _text(pids / "pids.max")
        if pids is not None:
            write(pids / "pids.max", "0")  # none of them forks any more
        for _ in range(_KILL_ROUNDS):
            inside = self.members()
            if not inside:
                break
            for pid in inside:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        if pids is not None and limit is not None:
            write(pids / "pids.max", limit)

    def remove(self) -> bool:
        """Remove the group; False while the kernel still holds it, which it does for a moment after the last exit."""
        return all([removed(folder) for folder in self.folders])  # noqa: C419  # each is tried

    def _folder(self, controller: str) -> Path | None:
        base = self.where.trees.get(controller)
        return None if base is None else self.folders[self.where.bases.index(base)]


def slug(agent: str) -> str:
    """An agent's id as a folder's name, which still says run and agent, and is no other agent's."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", agent)[:_SLUG_CHARS].lstrip(".")
    return f"a-{plain}-{short_hash(agent)}"


def limit_memory(folder: Path, limit: int, *, v2: bool) -> None:
    """Limit the memory of a group, without swap: an agent that swaps slows all others."""
    if v2:
        write(folder / "memory.max", str(limit))
        write(folder / "memory.swap.max", "0")
        return
    # Lowering: first the limit without swap. Raising: first the limit with swap. The kernel refuses the other order.
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.limit_in_bytes"):
        write(folder / name, str(limit))


def removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def write(file: Path, text: str) -> bool:
    try:
        file.write_text(text, encoding="ascii")
    except OSError:
        return False
    return True


def _text(file: Path) -> str | None:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="ascii")
    return None


def _number(folder: Path | None, name: str) -> int | None:
    if folder is not None:
        with contextlib.suppress(OSError, ValueError):
            return int((folder / name).read_text(encoding="ascii"))
    return None


def _field(folder: Path | None, name: str, key: str) -> int | None:
    if folder is not None:
        with contextlib.suppress(OSError):
            for line in (folder / name).read_text(encoding="ascii").splitlines():
                word, _, number = line.partition(" ")
                if word == key:
                    return int(number)
    return None
