"""Starts commands where no workspace is mounted but their own.

bubblewrap reads the list of all mounts at each of its forty binds, so that with hundreds of workspaces most of a
command's cost would come from those of others. One thread of this process therefore lives in a *clean* namespace
of mounts that holds none of them. For a command it makes a copy of that one, puts the command's own workspace there
at its own path, and forks. The copy ends with the last process in it, without any cleaning up.

It only saves time: where the kernel or our rights refuse it, commands are started in our own namespace.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from headway.sandbox.process import mounts

FRESH_S = 60.0
"""A clean namespace does not follow later mounts of the machine, and a disk that it holds stays busy."""

Process = subprocess.Popen[bytes]
Spawn = Callable[[], Process]
_T = TypeVar("_T")


class CleanMountSpawner:
    """One per process; safe for threads. After a fork the child process has a new one.

    Args:
        fresh_s: Seconds for which a clean namespace is used, and kept while no command comes.
    """

    def __init__(self, fresh_s: float = FRESH_S) -> None:
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._owner = 0
        self._thread: _Thread | None = None

    def start(self, places: Sequence[Path], spawn: Spawn) -> Process:
        """Start a command.

        Args:
            places: Folders of the host that it needs and that may be mounts; empty for a start in our own namespace.
            spawn: Forks it; called in a thread that lives as long as this process, or in the caller's.

        Raises:
            OSError: Raised by `spawn`.
        """
        if not places:
            return spawn()
        with self._lock:
            if self._owner != os.getpid():
                self._owner = os.getpid()
                able = sys.platform == "linux" and os.geteuid() == 0
                self._thread = _Thread(self._fresh_s) if able else None
            if self._thread is not None and self._thread.is_able:
                with suppress(_RefusedError):
                    return self._thread.start(places, spawn)
        return spawn()


class _RefusedError(Exception):
    """The kernel refuses a mount or a namespace."""


class _Thread:
    """The thread that forks commands. One command at a time is started by it.

    Attributes:
        is_able: True if it can make clearings here.
    """

    def __init__(self, fresh_s: float) -> None:
        self.is_able = True
        self._fresh_s = fresh_s
        self._home = -1
        self._clearing: _CleanMounts | None = None
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="starter", daemon=True).start()
        self._do(self._move_out)

    def start(self, places: Sequence[Path], spawn: Spawn) -> Process:
        """Start a command in a copy of the clean namespace; see `CleanMountSpawner.start`."""
        clearing = self._do(self._fresh)
        trees: list[tuple[int, str]] = []
        try:
            with _refusals():
                # Here, because the thread does not see them; one by one, so that all are closed if one fails.
                trees.extend((mounts.copy(place), place) for place in clearing.lacking(places))
        except _RefusedError:
            _close(tree for tree, _ in trees)
            raise
        return self._do(lambda: self._spawn(clearing, trees, spawn))

    def _do(self, act: Callable[[], _T]) -> _T:
        """Have something done in the thread."""
        done: Future[_T] = Future()

        def work() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001  # it is the caller's, and must not end the thread
                done.set_exception(error)

        self._work.put(work)
        return done.result()

    def _serve(self) -> None:
        """Never ends: the kernel's death signal for a command is tied to the thread that forked it."""
        while True:
            try:
                work = self._work.get(timeout=self._fresh_s)
            except queue.Empty:
                work = self._forget
            work()

    def _move_out(self) -> None:
        """Let this thread have a root folder of its own, so that it can go from namespace to namespace."""
        self.is_able = False
        with suppress(OSError):
            root = _identity("/")
            self._home = mounts.own_namespace()
            mounts.leave()
            mounts.enter(self._home)
            self.is_able = _identity("/") == root  # else this process has another root than its namespace

    def _fresh(self) -> "_CleanMounts":
        if self._clearing is not None and self._clearing.age_s > self._fresh_s:
            self._forget()
        if self._clearing is None:
            try:
                self._clearing = _CleanMounts()
            except OSError as error:
                self._go(self._home)
                self.is_able = False
                raise _RefusedError from error
        return self._clearing

    def _go(self, namespace: int) -> None:
        try:
            mounts.enter(namespace)
        except OSError:
            self.is_able = False

    def _forget(self) -> None:
        if self._clearing is None:
            return
        self._go(self._home)
        self._clearing.close()
        self._clearing = None

    def _spawn(self, clearing: "_CleanMounts", trees: Sequence[tuple[int, str]], spawn: Spawn) -> Process:
        try:
            if self._clearing is not clearing:
                raise _RefusedError  # the process was stopped for a long time between the two
            with _refusals():
                if trees:
                    mounts.leave()
                for tree, place in trees:
                    mounts.put(tree, place)
            return spawn()
        finally:
            _close(tree for tree, _ in trees)
            if trees and self._clearing is not None:
                self._go(self._clearing.namespace)


class _CleanMounts:
    """A namespace without workspaces, made from the one that this thread is in; the thread is in it afterwards."""

    def __init__(self) -> None:
        self._made = time.monotonic()
        mounts.leave()
        mounts.part()
        mounts.forget_workspaces()
        self.namespace = mounts.own_namespace()
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def age_s(self) -> float:
        """Seconds since it was made. It does not show mounts that are younger."""
        return time.monotonic() - self._made

    def lacking(self, places: Sequence[Path]) -> list[str]:
        """Those of the places at which the clean namespace shows another file than the caller's namespace."""
        real = dict.fromkeys(os.path.realpath(place) for place in places)
        return [place for place in real if _identity(place) != _identity(place.lstrip("/") or ".", self._root)]

    def close(self) -> None:
        """Let go of it; commands that run in copies of it keep those."""
        _close((self.namespace, self._root))


def _identity(place: str, below: int | None = None) -> tuple[int, int] | None:
    try:
        found = os.stat(place, dir_fd=below)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _RefusedError(str(error)) from error


STARTER = CleanMountSpawner()
