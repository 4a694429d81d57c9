"""Enforces limits that the kernel does not: disk always; memory and processes without control groups.

One loop serves all commands of a process. It first looks at a command after `DISK_EVERY_S`, so short ones cost nothing.
"""

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headway.sandbox.disk_usage import FILES_PER_MB, Quota, Size, measure, remove_since, written_part
from headway.sandbox.process.family import Use, unlinked_mb, use_of
from headway.sandbox.runner import KilledFor
from headway.system.reserve import Reserve

DISK_EVERY_S = 0.25
"""Time between two looks at a disk's use, which cost microseconds."""

TREE_EVERY_S = 1.0
"""Time between two looks at memory and processes."""
_PART_OF_QUOTA = 8
"""A workspace is measured again when the use of its disk has grown by an eighth of the quota since the last time."""

_REMEMBERED = 2000
_PAUSE = 2
"""Pause after a measurement, as a multiple of its duration."""

BLIND_S = 5.0
"""Longest time between two measurements of a running command's workspace. The use of the disk alone can mislead: when
another process frees space, it hides the growth of this workspace."""
_BLIND_PAUSE = 50
"""The same as a multiple of a measurement's duration, if that is longer: at most 2 % of a core for each command."""

_PAGE_SLACK = 1.05
_MB = 1024 * 1024
_UNBOUNDED = Quota(1024 * 1024)
_STAMP_NS = 20_000_000
"""File times are those of the kernel's last tick, so they may lie this far before the true time."""

_NOTHING = Size(0.0, 0)
_OF_DISK: tuple[KilledFor, ...] = ("disk_quota", "disk_full")


@dataclass
class WatchLedger:
    """The last measurement of one agent's workspace.

    Attributes:
        size: The measured size; None before the first measurement.
        disk_mb: Space in use on the whole disk at that moment.
        inodes: Inodes in use on the whole disk at that moment.
        folder: Device and inode of its root, which tell it from a later workspace of the same agent.
        allowed: Its limit. A workspace that is over its quota gets a higher one, so that its agent can delete files.
        again_at: Earliest time of the next measurement, by `time.monotonic`: large trees take long.
        blind_at: Time of the next measurement when the use of the disk does not grow, by the same clock.
    """

    folder: tuple[int, int]
    allowed: Quota
    disk_mb: float
    inodes: int
    size: Size | None = None
    again_at: float = 0.0
    blind_at: float = 0.0


@dataclass
class Watch:
    """One running command.

    Attributes:
        pid: Its first process.
        mark: Its name in the environment of all its processes.
        memory_mb: Limit of its memory; None where a group bounds it.
        pids: Limit of its processes; None where a group bounds them.
        tracked: Tells the paths that are never removed.
        broken: Done when it has to be killed, with the reason.
        peak_kb: Largest use of memory that was seen.
        since: Its start, by `time.monotonic`.
        began_ns: Its start, by the clock of file times.
    """

    agent: str
    workspace: Path
    pid: int
    mark: str
    quota: Quota | None
    memory_mb: int | None = None
    pids: int | None = None
    tracked: Callable[[], Collection[str]] = tuple
    broken: "asyncio.Future[KilledFor]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    peak_kb: int | None = None
    since: float = field(default_factory=time.monotonic)
    began_ns: int = field(default_factory=lambda: time.time_ns() - _STAMP_NS)

    def breaks(self, why: KilledFor) -> None:
        """Ask for the kill of the command."""
        if not self.broken.done():
            self.broken.set_result(why)


@dataclass(frozen=True)
class DiskEnd:
    """State of a workspace after a command.

    Attributes:
        over: The workspace is over its quota.
        removed: Size of the command's files that the harness removed because it had killed the command for them.
    """

    over: bool = False
    removed: Size = _NOTHING


class Watchdog:
    """Watches all commands of a process, in one event loop.

    Args:
        reserve: Disk space for the services. It is freed when commands have filled the disk.
    """

    def __init__(self, reserve: Reserve | None = None) -> None:
        self._reserve = reserve
        self._watches: list[Watch] = []
        self._ledgers: OrderedDict[str, WatchLedger] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None

    def add(self, watch: Watch) -> None:
        """Begin to look after a command."""
        if watch.quota is not None:
            with contextlib.suppress(OSError):
                self._open_ledger(watch, watch.quota)
        self._watches.append(watch)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def _open_ledger(self, watch: Watch, quota: Quota) -> None:
        root = watch.workspace.stat()
        folder, known = (root.st_dev, root.st_ino), self._ledgers.get(watch.agent)
        if known is None or known.folder != folder:
            self._ledgers[watch.agent] = WatchLedger(folder, quota, *_in_use(watch.workspace))
        if len(self._ledgers) > _REMEMBERED:
            self._ledgers.popitem(last=False)

    async def over(self, watch: Watch) -> DiskEnd:
        """Stop watching a command of which no process runs any more, and return the state of its workspace.

        If it was killed for its disk use, the files that it wrote are removed, so that its agent can go on.
        """
        self._watches.remove(watch)
        if not self._watches and self._looking is not None:
            self._looking.cancel()
        removed = _NOTHING
        ledger = self._ledgers.get(watch.agent)
        if ledger is not None and watch.quota is not None and watch.broken.done() and watch.broken.result() in _OF_DISK:
            kept = watch.quota if watch.broken.result() == "disk_quota" else Quota(0)
            removed = await asyncio.to_thread(_take_back, watch, kept)
            ledger.size = None
        await self._measure(watch, ended=True)
        if self._reserve is not None:
            self._reserve.keep()
        if ledger is None or ledger.size is None or watch.quota is None:
            return DiskEnd(removed=removed)
        if watch.quota.holds(ledger.size):
            ledger.allowed = watch.quota
            return DiskEnd(removed=removed)
        if ledger.allowed == watch.quota:
            ledger.allowed = Quota(int(max(ledger.size.mb, ledger.size.files / FILES_PER_MB) * _PAGE_SLACK) + 1)
        return DiskEnd(over=True, removed=removed)

    async def _look(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(DISK_EVERY_S)
            ticks += 1
            if self._reserve is not None and self._reserve.is_needed():
                await self._stop_the_largest(self._reserve)
            for watch in tuple(self._watches):
                await self._look_at_disk(watch)
            if ticks % round(TREE_EVERY_S / DISK_EVERY_S) == 0:
                await self._look_at_trees([watch for watch in self._watches if watch.pids or watch.memory_mb])

    async def _stop_the_largest(self, reserve: Reserve) -> None:
        """Free the reserve, and stop the command that wrote most if it wrote more than the reserve holds."""
        reserve.spend()
        largest: tuple[float, Watch] | None = None
        for watch in tuple(self._watches):
            ledger = self._ledgers.get(watch.agent)
            if ledger is None or watch.quota is None or watch.broken.done():
                continue
            size = await asyncio.to_thread(_taken, watch, _UNBOUNDED)
            grown = size.mb - (ledger.size.mb if ledger.size is not None else 0.0)
            if watch in self._watches and (largest is None or grown > largest[0]):
                largest = grown, watch
        if largest is not None and largest[0] * _MB >= reserve.bytes:
            largest[1].breaks("disk_full")

    async def _look_at_disk(self, watch: Watch) -> None:
        if await self._measure(watch) and watch in self._watches:
            ledger = self._ledgers[watch.agent]
            if ledger.size is not None and not ledger.allowed.holds(ledger.size):
                watch.breaks("disk_quota")

    async def _measure(self, watch: Watch, *, ended: bool = False) -> bool:
        """Measure a workspace if it may have grown much since the last time. Returns whether it was measured."""
        ledger = self._ledgers.get(watch.agent)
        if ledger is None or watch.quota is None:
            return False
        try:
            disk_mb, inodes = _in_use(watch.workspace)
        except OSError:
            return False
        grown = max(disk_mb - ledger.disk_mb, (inodes - ledger.inodes) / FILES_PER_MB)
        over = ledger.size is not None and not watch.quota.holds(ledger.size)
        began = time.monotonic()
        blind = not ended and began > max(ledger.blind_at, watch.since + BLIND_S)
        if grown < watch.quota.mb / _PART_OF_QUOTA and not over and not blind:
            if grown < 0:  # space was freed, so growth counts from here
                ledger.disk_mb, ledger.inodes = disk_mb, inodes
            return False
        if began < ledger.again_at and not ended:
            return False
        most = Quota(watch.quota.mb * 4)
        if ended:
            ledger.size = await asyncio.to_thread(measure, watch.workspace, most)
        else:
            ledger.size = await asyncio.to_thread(_taken, watch, most)
        now = time.monotonic()
        ledger.again_at = now + _PAUSE * (now - began)
        ledger.blind_at = now + max(BLIND_S, _BLIND_PAUSE * (now - began))
        ledger.disk_mb, ledger.inodes = disk_mb, inodes
        return True

    async def _look_at_trees(self, watches: Iterable[Watch]) -> None:
        asked = {watch.mark: watch for watch in watches}
        if not asked:
            return
        used = await asyncio.to_thread(use_of, {mark: watch.pid for mark, watch in asked.items()})
        for mark, use in used.items():
            _judge(asked[mark], use)


def _take_back(watch: Watch, quota: Quota) -> Size:
    return remove_since(watch.workspace, watch.began_ns, quota, watch.tracked())


def _taken(watch: Watch, most: Quota) -> Size:
    """Disk use of a running command's workspace, with the unlinked files that the command holds open."""
    size = measure(watch.workspace, most)
    with contextlib.suppress(OSError):
        size = Size(
            size.mb + unlinked_mb(watch.pid, watch.mark, watch.workspace, written_part(watch.workspace)), size.files
        )
    return size


def _judge(watch: Watch, use: Use) -> None:
    watch.peak_kb = max(watch.peak_kb or 0, use.memory_kb)
    if watch.memory_mb is not None and use.memory_kb > watch.memory_mb * 1024:
        watch.breaks("oom")
    if watch.pids is not None and use.pids > watch.pids:
        watch.breaks("processes")


def _in_use(workspace: Path) -> tuple[float, int]:
    disk = os.statvfs(workspace)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize / 1024 / 1024, disk.f_files - disk.f_ffree
