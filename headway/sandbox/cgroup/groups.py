"""Control groups: one per agent for its commands, below one group that bounds the sum of them all."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from headway.domain.diagnostic import Diagnostic
from headway.sandbox.cgroup.bandwidth import Bandwidth
from headway.sandbox.cgroup.group import PIDS, Group, limit_memory, removed, slug, write
from headway.sandbox.cgroup.hierarchy import WANTED, Hierarchy

PARENT = "headway"
MEMORY_MB = 2048
CPU_WEIGHT = 100
"""Of all agents together, where everything is in groups: that of any other group."""

CPU_SHARES_PER_CORE = 1024
"""CPU shares of all agents together in version 1, where other programs mostly stand next to the group, each with 1,024.
With less, twenty busy programs left the agents 2 % of two cores, and a command of 14 ms took 200."""

KEPT = 512
"""Groups of idle agents that are kept at most; making one anew costs a few file operations."""

_MB = 1024 * 1024
_RESERVE_MB = 2048


class Groups:
    """The groups of this process. Safe for threads.

    They lie below `headway/<owner>/`, where the owner names this process. So a later process knows the groups of dead
    processes, kill what is in them, and remove them.
    """

    def __init__(self, where: Hierarchy, bandwidth: Bandwidth | None = None) -> None:
        self.where = where
        self._bandwidth = bandwidth
        self._lock = threading.Lock()
        self._cages: dict[str, Group] = {}
        self._limits: dict[str, tuple[int, int]] = {}
        self._busy: dict[str, int] = {}
        self._gone: list[Group] = []
        self._owner = ""
        self._pid = 0

    @classmethod
    def detect(cls, where: Hierarchy | None = None, bandwidth: Bandwidth | None = None) -> "Groups | None":
        """The groups that this process can make, tried out; None where it can make none.

        Makes the common parent, and removes the groups of dead processes.

        Args:
            where: The hierarchy to use; by default the mounted one.
            bandwidth: Of the disk, for each agent.
        """
        where = where or Hierarchy.here()
        if where is None:
            return None
        cages = cls(where, bandwidth)
        try:
            cages.sweep()
            trial = cages.of("trial")
            entered = subprocess.run([*trial.enter, "true"], capture_output=True, check=False).returncode == 0
            cages.close()
        except OSError:
            return None
        return cages if entered else None

    @property
    def kind(self) -> str:
        """`v1` or `v2`."""
        return self.where.kind

    @property
    def limits(self) -> frozenset[str]:
        """Those of memory, pids, cpu and io that the kernel enforces here."""
        return frozenset(self.where.trees) - {"usage"}

    def of(self, agent: str, memory_mb: int = MEMORY_MB, pids: int = PIDS) -> Group:
        """The group of an agent, made if it is missing, with these limits.

        Raises:
            OSError: The kernel refuses to make it.
        """
        with self._lock:
            self._be_mine()
            cage = self._cages.pop(agent, None) or self._make(agent)
            self._cages[agent] = cage  # the newest is last
            if self._limits.get(agent) != (memory_mb, pids):
                cage.limit(memory_mb, pids, self._bandwidth)
                self._limits[agent] = (memory_mb, pids)
            self._forget_idle()
            return cage

    @contextlib.contextmanager
    def using(self, agent: str) -> Iterator[None]:
        """Keep an agent's group for as long as one of its commands runs."""
        with self._lock:
            self._busy[agent] = self._busy.get(agent, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[agent] = self._busy.get(agent, 1) - 1
                if self._busy[agent] <= 0:
                    del self._busy[agent]

    def users(self, agent: str) -> int:
        """Number of the agent's commands that run now."""
        with self._lock:
            return self._busy.get(agent, 0)

    def drop(self, agent: str) -> None:
        """An agent is done: kill the processes in its group, and remove it as soon as the kernel lets go."""
        with self._lock:
            cage = self._cages.pop(agent, None)
            self._limits.pop(agent, None)
            if cage is not None:
                cage.kill()
                self._gone.append(cage)
            self._clear()

    def close(self) -> None:
        """Kill everything inside, and remove all that can be removed."""
        with self._lock:
            for cage in self._cages.values():
                cage.kill()
            self._gone += self._cages.values()
            self._cages = {}
            until = time.monotonic() + 1.0
            while self._clear() and time.monotonic() < until:
                time.sleep(0.005)  # no event comes when the kernel releases a group
            for parent in self._parents():
                removed(parent)
                removed(parent.parent)  # only the last one can

    def sweep(self) -> list[str]:
        """Kill and remove the groups of dead processes. Returns the owners of the removed groups."""
        swept = set()
        for base in self.where.bases:
            for owner in _folders(base / PARENT):
                if _is_dead(owner.name):
                    swept.add(owner.name)
                    _sweep(owner, self.where)
        return sorted(swept)

    def findings(self) -> tuple[Diagnostic, ...]:
        """The findings of `headway doctor` about control groups."""
        have = ", ".join(name for name in WANTED if name in self.limits) or "none"
        says = f"control groups {self.kind} below {self.where.bases[0]}; controllers: {have}"
        if self.kind == "v2" and "favordynmods" not in Path("/proc/self/mounts").read_text(encoding="utf-8"):
            says += "; entering one waits for a lock of the kernel, some 10 ms for a command that comes alone"
            return (Diagnostic(topic="control groups", state="lacking", says=says, remedy=FASTER),)
        missing = [name for name in ("memory", "pids") if name not in self.limits]
        if not missing:
            return (Diagnostic(topic="control groups", state="good", says=says),)
        return (
            Diagnostic(
                topic="control groups", state="lacking", says=f"{says}; lacking: {', '.join(missing)}", remedy=REMEDY
            ),
        )

    def _make(self, agent: str) -> Group:
        parents = self._parents()
        for parent in parents:
            if not parent.is_dir():
                with contextlib.suppress(FileNotFoundError):  # the last of the others has just removed the top
                    self._make_parent(parent)
                self._make_parent(parent)
        self._limits.pop(agent, None)
        name = slug(agent)
        cage = Group(agent, name, self.where, tuple(parent / name for parent in parents))
        for folder in cage.folders:
            folder.mkdir(exist_ok=True)
        return cage

    def _make_parent(self, owner: Path) -> None:
        top = owner.parent
        top.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):  # the process that made it, perhaps of another user, has bounded it
            _bound(top, self.where)
        self.where.share(top)
        owner.mkdir(exist_ok=True)
        self.where.share(owner)

    def _parents(self) -> tuple[Path, ...]:
        return tuple(base / PARENT / self._owner for base in self.where.bases)

    def _be_mine(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._owner = os.getpid(), _owner_name(os.getpid())
            self._cages, self._limits, self._busy, self._gone = {}, {}, {}, []

    def _forget_idle(self) -> None:
        idle = [agent for agent in self._cages if agent not in self._busy]
        for agent in idle[: max(0, len(self._cages) - KEPT)]:
            self._gone.append(self._cages.pop(agent))
            self._limits.pop(agent, None)
        if self._gone:
            self._clear()

    def _clear(self) -> bool:
        """Remove finished groups. True if the kernel still holds one of them."""
        self._gone = [cage for cage in self._gone if not cage.remove()]
        return bool(self._gone)


REMEDY = (
    "run the worker processes as root, or in a scope of your own: systemd-run --user --scope -p Delegate=yes headway up"
)
FASTER = "as root: mount -o remount,favordynmods /sys/fs/cgroup"


def lacking() -> tuple[Diagnostic, ...]:
    """The findings of `headway doctor` on a machine without control groups."""
    says = "control groups: none that this user may make; a watchdog looks once a second instead"
    return (Diagnostic(topic="control groups", state="lacking", says=says, remedy=REMEDY),)


def _bound(top: Path, where: Hierarchy) -> None:
    """Limits of all agents together: the machine's memory without Temporal's and our share; half of its process ids."""
    v2 = where.kind == "v2"
    if where.trees.get("memory") == top.parent:
        total = psutil.virtual_memory().total
        limit_memory(top, total - min(_RESERVE_MB * _MB, total // 4), v2=v2)
    if where.trees.get("pids") == top.parent:
        write(top / "pids.max", str(int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii")) // 2))
    if where.trees.get("cpu") == top.parent:
        shares = CPU_SHARES_PER_CORE * (os.cpu_count() or 1)
        write(top / ("cpu.weight" if v2 else "cpu.shares"), str(CPU_WEIGHT if v2 else shares))


def _owner_name(pid: int) -> str:
    """A process, told from every other that may have its number: by its start, and by the namespace of numbers."""
    return f"p{pid}-{_start_of(pid)}-{_namespace()}"


def _is_dead(owner: str) -> bool:
    named = re.fullmatch(r"p(\d+)-(\d+)-(\d+)", owner)
    if named is None or int(named[3]) != _namespace():  # of another container: not ours to judge
        return False
    return _start_of(int(named[1])) != int(named[2])


def _start_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return int(fields[19]) if fields[0] != "Z" else 0
    return 0


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _sweep(owner: Path, where: Hierarchy) -> None:
    for folder in (*_folders(owner), owner):
        dead = Group("", folder.name, where, (folder,))
        if not write(folder / "cgroup.kill", "1"):
            for pid in dead.members():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        removed(folder)  # the next sweep removes a group that the kernel still holds


def _folders(folder: Path) -> Iterable[Path]:
    with contextlib.suppress(OSError):
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    return []
