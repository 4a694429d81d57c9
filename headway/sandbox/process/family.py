"""The processes that a command started, wherever they went."""

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from headway.sandbox.process.memory_files import unmapped_kb

_PROC = Path("/proc")
_ROUNDS = 20


def kill_family(leader: int) -> None:
    """Kill a command's process group, and what descends from it in other groups. Quick enough for an event loop.

    Args:
        leader: The command's first process, not yet waited for, so that its number is still its own.
    """
    descendants = _descendants(leader)  # looked up first: orphans lose their descent
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    _kill(descendants)


def kill_marked(mark: str) -> None:
    """Kill whatever carries a command's mark in its environment: also daemons that left its group and its descent.

    Where there is no /proc this finds nothing. Reads every process of the machine: not for an event loop.
    """
    wanted = mark.encode()
    for _ in range(_ROUNDS):  # one that forks while we look is found in the next round
        found = [pid for pid in _all_processes() if wanted in _environment_of(pid)]
        if not found:
            return
        _kill(found)


@dataclass(frozen=True)
class Use:
    """Current use of all processes of a command together. Memory that several of them share counts once."""

    memory_kb: int
    pids: int


def use_of(leaders: Mapping[str, int]) -> dict[str, Use]:
    """Resources that commands use, by their marks: the processes that descend from a leader, and all that carry its
    mark.

    Reads every process of the machine: not for an event loop.
    """
    found = {mark: {leader, *_descendants(leader)} for mark, leader in leaders.items()}
    wanted = {mark.encode(): mark for mark in leaders}
    for pid in _all_processes():
        environment = _environment_of(pid)
        for raw, mark in wanted.items():
            if raw in environment:
                found[mark].add(pid)
    return {mark: Use(sum(map(_memory_kb, pids)) + unmapped_kb(pids), len(pids)) for mark, pids in found.items()}


def unlinked_mb(leader: int, mark: str, *folders: Path) -> float:
    """Disk space of files that a command holds open and that have no name any more.

    Args:
        leader: The command's first process.
        mark: Its name in the environment of all its processes.
        folders: Only files on their devices count. A file of an overlay is on the overlay's, not on its upper layer's.
    """
    devices, blocks = {folder.stat().st_dev for folder in folders}, {}
    every = {leader, *_descendants(leader), *(pid for pid in _all_processes() if mark.encode() in _environment_of(pid))}
    for pid in every:
        with contextlib.suppress(OSError), os.scandir(_PROC / str(pid) / "fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if status.st_nlink == 0 and status.st_dev in devices:
                        blocks[status.st_ino] = status.st_blocks
    return sum(blocks.values()) * 512 / 1024 / 1024


def _memory_kb(pid: int) -> int:
    """Its proportional share: of a page that n processes map, a n-th. Mapped files in memory are part of it."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1])
    return 0


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    try:
        found = _children(pid)
    except FileNotFoundError:  # no such process, or a system that does not list children
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    for child in found:  # grows while it is walked
        with contextlib.suppress(OSError):
            found += _children(child)
    return found


def _children(pid: int) -> list[int]:
    tasks = (_PROC / str(pid) / "task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_bytes().split()]


def _all_processes() -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208  # names are all we need
    return []


def _environment_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "environ").read_bytes()
    return b""
