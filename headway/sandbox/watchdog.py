"""Looks after running commands where the kernel does not: their disk everywhere; memory and processes without cages.

One look serves all commands of a process, and only those that run for longer than a moment are looked at.
"""

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headway.sandbox.family import Use, unlinked_mb, use_of
from headway.sandbox.runner import KilledFor
from headway.sandbox.tree import FILES_PER_MB, Quota, Size, measure, remove_since, written_part
from headway.system.reserve import Reserve

DISK_EVERY_S = 0.25
"""How often a disk is asked how much of it is in use, which costs microseconds."""

TREE_EVERY_S = 1.0
_PART_OF_QUOTA = 8
"""A workspace is measured anew when its disk holds an eighth of the quota more than at the last measuring."""

_REMEMBERED = 2000
_PAUSE = 2
"""Pause after a measuring, in times of what it took."""

BLIND_S = 5.0
"""A running command's workspace is measured so often in any case: a neighbour who frees hides what it takes."""
_BLIND_PAUSE = 50
"""The same, in times of what measuring took: 2 % of a core for each running command at most."""

_PAGE_SLACK = 1.05
_MB = 1024 * 1024
_ANY_MB = 1024 * 1024
_STAMP_NS = 20_000_000
"""Files are stamped with the time of the kernel's last tick."""

_NOTHING = Size(0.0, 0)
_OF_DISK: tuple[KilledFor, ...] = ("disk_quota", "disk_full")


@dataclass
class Ledger:
    """What is known of one agent's workspace.

    Attributes:
        size: As last measured.
        disk_mb: What of the disk was in use then, by everybody.
        inodes: The same, in files.
        folder: Device and inode of its root, so that what one workspace took says nothing of the next.
        allowed: What it may take; more than the quota for one that is over it, so that it can still clear up.
        again_at: When it is measured again at the earliest, by `time.monotonic`, since large trees take their time.
        blind_at: When it is measured again although the disk says nothing, by the same clock.
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
        memory_mb: None where a cage bounds it.
        pids: The same.
        broken: Done when it has to be killed, with the reason.
        peak_kb: Most memory at once that was seen.
        since: When it began, by `time.monotonic`.
        began_ns: When it began, by the clock that files are stamped with.
    """

    agent: str
    workspace: Path
    pid: int
    mark: str
    quota: Quota | None
    memory_mb: int | None = None
    pids: int | None = None
    broken: "asyncio.Future[KilledFor]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    peak_kb: int | None = None
    since: float = field(default_factory=time.monotonic)
    began_ns: int = field(default_factory=lambda: time.time_ns() - _STAMP_NS)

    def breaks(self, why: KilledFor) -> None:
        """It has to be killed."""
        if not self.broken.done():
            self.broken.set_result(why)


@dataclass(frozen=True)
class DiskEnd:
    """How a command left its workspace.

    Attributes:
        over: It is over its quota.
        removed: What the harness removed of the files that the command wrote, because it was killed for them.
    """

    over: bool = False
    removed: Size = _NOTHING


class Watchdog:
    """One for all commands of a process. To be used in one event loop.

    Args:
        reserve: Room on the disk for the services. It is spent when commands have filled the disk.
    """

    def __init__(self, reserve: Reserve | None = None) -> None:
        self._reserve = reserve
        self._watches: list[Watch] = []
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()
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
            self._ledgers[watch.agent] = Ledger(folder, quota, *_in_use(watch.workspace))
        if len(self._ledgers) > _REMEMBERED:
            self._ledgers.popitem(last=False)

    async def over(self, watch: Watch) -> DiskEnd:
        """A command has ended, and nothing of it runs. How its workspace stands now.

        What a command wrote that was killed for it is removed. So the disk is as before, and its agent can go on.
        """
        self._watches.remove(watch)
        if not self._watches and self._looking is not None:
            self._looking.cancel()
        removed = _NOTHING
        ledger = self._ledgers.get(watch.agent)
        if ledger is not None and watch.quota is not None and watch.broken.done() and watch.broken.result() in _OF_DISK:
            kept = watch.quota if watch.broken.result() == "disk_quota" else Quota(0)
            removed = await asyncio.to_thread(remove_since, watch.workspace, watch.began_ns, kept)
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
        """The disk is full: give up the reserve, and stop the command that wrote most, if it wrote as much as that."""
        reserve.spend()
        largest: tuple[float, Watch] | None = None
        for watch in tuple(self._watches):
            ledger = self._ledgers.get(watch.agent)
            if ledger is None or watch.quota is None or watch.broken.done():
                continue
            size = await asyncio.to_thread(_taken, watch, Quota(_ANY_MB))
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
        """Measure a workspace if it can have grown much since the last time; whether it was."""
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
            if grown < 0:  # somebody freed: growth counts from here
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


def _taken(watch: Watch, most: Quota) -> Size:
    """What a running command's workspace takes of the disk, with files that it holds open and has unlinked."""
    size = measure(watch.workspace, most)
    with contextlib.suppress(OSError):
        size = Size(size.mb + unlinked_mb(watch.pid, watch.mark, written_part(watch.workspace)), size.files)
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
