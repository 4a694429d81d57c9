"""What one process and its state folder hold at one moment, and how two moments differ."""

import ctypes
import functools
import gc
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_OBJECT = re.compile(r"objects/[0-9a-f]{2}/")
_NUMBER = re.compile(r"[0-9a-f]*\d[0-9a-f]*")
_SHOWN = 12


@dataclass(frozen=True)
class Process:
    """One process.

    Attributes:
        descriptors: Open descriptors, by what they are of; numbers in names are left out.
        children: Child processes, by name.
        threads: Number of threads.
        blocks: Blocks of memory that Python objects take, after garbage was collected.
        megabytes: Memory that no other process shares.
        types: Objects by type, to name what grows.
    """

    descriptors: Counter[str]
    children: Counter[str]
    threads: int
    blocks: int
    megabytes: float
    types: Counter[str]

    @classmethod
    def look(cls, home: Path) -> "Process":
        """This process now. Caches of functions, which have their own bound, are emptied first."""
        own = psutil.Process()
        gc.collect()
        objects = gc.get_objects()
        types = Counter(map(type, objects))
        for each in objects:
            if type(each) is functools._lru_cache_wrapper and each.cache_parameters()["maxsize"] is not None:
                each.cache_clear()
        del objects
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        return cls(
            descriptors=Counter(_descriptors(home)),
            children=Counter(child.name() for child in own.children(recursive=True)),
            threads=threading.active_count(),
            blocks=sys.getallocatedblocks(),
            megabytes=own.memory_full_info().uss / 1e6,
            types=Counter({f"{kind.__module__}.{kind.__qualname__}": count for kind, count in types.items()}),
        )


def _descriptors(home: Path) -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            yield pattern_of(str(entry.readlink()).replace(str(home), "HOME"))
        except FileNotFoundError:
            continue  # the one by which the folder is read


def pattern_of(name: str) -> str:
    """A name without its numbers and hashes."""
    return _NUMBER.sub("#", _OBJECT.sub("objects/#/", name))


def files_in(folder: Path, *, without: str = "") -> Counter[str]:
    """Files below `folder`, by pattern of name; what lies below its part `without` is left out."""
    found: Counter[str] = Counter()
    for at, folders, names in os.walk(folder):
        place = Path(at).relative_to(folder)
        folders[:] = [each for each in folders if not without or (place / each).as_posix() != without]
        found.update(pattern_of((place / name).as_posix()) for name in names)
    return found


@dataclass(frozen=True)
class Bounds:
    """The most that a process may grow by for each run: blocks of memory, and megabytes."""

    blocks: float
    megabytes: float


def growth(before: Process, after: Process, runs: int, bounds: Bounds) -> list[str]:
    """What grew between two moments with so many runs between them, a line each."""
    found = [
        *more(before.descriptors, after.descriptors, "descriptors"),
        *more(before.children, after.children, "child processes"),
    ]
    blocks, megabytes = (after.blocks - before.blocks) / runs, (after.megabytes - before.megabytes) / runs
    if blocks > bounds.blocks:
        told = ", ".join(f"{count:+} {name}" for name, count in (after.types - before.types).most_common(_SHOWN))
        found.append(f"memory: {blocks:,.0f} blocks a run, {bounds.blocks:,.0f} are allowed: {told}")
    if megabytes > bounds.megabytes:
        found.append(f"memory: {megabytes:.2f} MB a run, {bounds.megabytes:.2f} are allowed")
    return found


def more(before: Mapping[str, int], after: Mapping[str, int], what: str) -> list[str]:
    """What there is more of, a line each."""
    return [
        f"{what}: {name}: {before.get(name, 0)} -> {count}"
        for name, count in sorted(after.items())
        if count > before.get(name, 0)
    ]
