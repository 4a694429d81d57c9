"""The kernel's control groups as they are mounted here: version 1 with a tree per controller, version 2 with one."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WANTED = ("memory", "pids", "cpu", "io")
"""Controllers that a group has a use for, by their names of version 2."""

_V1_NAMES = {"memory": "memory", "pids": "pids", "cpu": "cpu", "io": "blkio", "usage": "cpuacct"}


@dataclass(frozen=True)
class Hierarchy:
    """Folders in which this process may make groups.

    Attributes:
        trees: The folder of our own base group, by controller. In version 2 they are all the same. `usage` is where
            processor time is counted.
    """

    kind: Literal["v1", "v2"]
    trees: Mapping[str, Path]

    @property
    def bases(self) -> tuple[Path, ...]:
        """Every folder that a group has to be made in, each once."""
        return tuple(dict.fromkeys(self.trees.values()))

    @property
    def door(self) -> str:
        """The file of a group that a process writes 0 into to go in.

        Version 1 takes a single thread through `tasks` without the kernel's global lock on forks. Through
        `cgroup.procs` each entry waits for that lock, which was 12 ms on a quiet machine.
        """
        return "tasks" if self.kind == "v1" else "cgroup.procs"

    def share(self, folder: Path) -> None:
        """Let the groups below `folder` have the controllers; version 1 does so by itself."""
        if self.kind == "v2":
            _enable(folder)

    @classmethod
    def here(cls, proc: Path = Path("/proc/self")) -> "Hierarchy | None":
        """The mounted and writable hierarchy; None if there is none."""
        try:
            mounts, own = _mounts(proc / "mountinfo"), _own_groups(proc / "cgroup")
        except OSError:
            return None
        unified = _folder(mounts.get("", ()), own.get("", "/"))
        if unified is not None and (found := _nearest(unified)) is not None:
            have = _words(found / "cgroup.subtree_control")
            return cls("v2", {name: found for name in (*WANTED, "usage") if name in {*have, "usage"}})
        trees = {}
        for name, old in _V1_NAMES.items():
            folder = _folder(mounts.get(old, ()), own.get(old, "/"))
            if folder is not None and os.access(folder, os.W_OK):
                trees[name] = folder
        return cls("v1", trees) if trees.keys() & {"memory", "pids"} else None


def _nearest(own: Path) -> Path | None:
    """The nearest group of version 2, our own or one above, that may hand controllers down."""
    for folder in _up(own):
        if os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK) and _enable(folder):
            return folder
    return own if _make_room(own) and _enable(own) else None


def _up(own: Path) -> Iterator[Path]:
    while (own / "cgroup.procs").exists():
        yield own
        own = own.parent


def _enable(folder: Path) -> bool:
    """Enable the wanted controllers for the groups below. True if memory and pids are among them."""
    control = folder / "cgroup.subtree_control"
    for name in WANTED:
        if name in _words(folder / "cgroup.controllers") - _words(control):
            with contextlib.suppress(OSError):  # a group with processes hands nothing down, except the root
                control.write_text(f"+{name}", encoding="ascii")
    return {"memory", "pids"} <= _words(control)


def _make_room(own: Path) -> bool:
    """Move the processes of a delegated group one level down. A group with processes can have no children."""
    try:
        if own.stat().st_uid != os.geteuid() or not {"memory", "pids"} <= _words(own / "cgroup.controllers"):
            return False
        inner = own / "headway-self"
        inner.mkdir(exist_ok=True)
        for pid in _words(own / "cgroup.procs"):
            try:
                (inner / "cgroup.procs").write_text(pid, encoding="ascii")
            except OSError as error:
                if error.errno != errno.ESRCH:  # a process may have ended meanwhile
                    raise
    except OSError:
        return False
    return True


def _words(file: Path) -> set[str]:
    with contextlib.suppress(OSError):
        return set(file.read_text(encoding="ascii").split())
    return set()


def _own_groups(file: Path) -> dict[str, str]:
    """Our group by controller; that of version 2 by the empty name."""
    groups = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        groups.update(dict.fromkeys(names.split(","), path))
    return groups


def _mounts(file: Path) -> dict[str, tuple[str, str]]:
    """Mounted trees by controller: the mounted part of the tree, and its mount point."""
    found: dict[str, tuple[str, str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found.setdefault("", (root, point))
        elif kind == "cgroup":
            for name in options.split(","):
                found.setdefault(name, (root, point))
    return found


def _folder(mount: tuple[str, str] | tuple[()], own: str) -> Path | None:
    """The folder of a group; the top of the mount when the group lies outside of it."""
    if not mount:
        return None
    root, point = mount
    inside = "/.." not in own and (root in {"/", own} or own.startswith(f"{root}/"))
    rest = own if root == "/" else own.removeprefix(root)
    folder = Path(point) / rest.strip("/") if inside else Path(point)
    return folder if (folder / "cgroup.procs").exists() else None
