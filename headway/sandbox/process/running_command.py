"""One running command: a process group, and the pipe that its output comes through."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

from headway.sandbox.backend import Launch
from headway.sandbox.process.clean_mount_spawner import STARTER
from headway.sandbox.process.family import kill_family, kill_marked
from headway.sandbox.process.output import Capture
from headway.sandbox.process.reaper import KEEPER

_READ_BYTES = 64 * 1024
_NICENESS = 5
_POLL_S = 0.02
_LAST_WAIT_S = 5.0
"""Longest wait for the end of a killed process. It ends at once unless it hangs in the kernel."""


@dataclass(frozen=True)
class Ended:
    """The system's account of a command that is over."""

    exit_code: int | None
    cpu_s: float | None
    peak_kb: int | None


class RunningCommand:
    """A started command.

    All calls come from the event loop's own thread: the kernel's death signal is tied to the thread that forks.

    Args:
        launch: The program to start.
        mark: Its name in its environment.
        capture: Takes its output.
        cap: Bytes of output after which `flooded` is set and nothing more is read.

    Attributes:
        mark: Its name in its environment.
        exited: Done when the first process of the command is over; its result is the time, by `time.monotonic`.
        closed: Done when no process holds the output any more.
        flooded: Done when the output has gone over the cap.
    """

    def __init__(self, launch: Launch, *, mark: str, capture: Capture, cap: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[float] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.flooded: asyncio.Future[None] = self._loop.create_future()
        self.mark = mark
        self._capture = capture
        self._cap = cap
        self._pidfd = -1
        self._poll: asyncio.Task[None] | None = None
        self.started = time.monotonic()
        self._pipe, writer = os.pipe()
        try:
            self._process = STARTER.start(launch.places, lambda: _fork(launch, writer))
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(writer)
            launch.started()
        try:
            KEEPER.add(self._process.pid)
            self._watch()
        except BaseException:
            self.kill()
            self._process.wait()
            self._let_go()
            raise

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._process.pid

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # the command matters more than its niceness
            os.setpriority(os.PRIO_PGRP, self._process.pid, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # macOS, or a kernel or container without it
            self._poll = self._loop.create_task(self._poll_exit())
        else:
            self._loop.add_reader(self._pidfd, self._note_exit)

    async def _poll_exit(self) -> None:
        while self._process.poll() is None:  # noqa: ASYNC110  # no event comes from the system here
            await asyncio.sleep(_POLL_S)
        self._note_exit()

    def _note_exit(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        if not self.exited.done():
            self.exited.set_result(time.monotonic())

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return
        if chunk:
            self._capture.feed(chunk)
        if chunk and self._capture.total <= self._cap:
            return
        self._loop.remove_reader(self._pipe)
        done = self.flooded if chunk else self.closed
        if not done.done():
            done.set_result(None)

    def kill(self) -> None:
        """Kill everything of this command that can be found at once."""
        kill_family(self._process.pid)

    async def settle(self, *, hunt: bool) -> Ended:
        """End the rest of the command, take the rest of its output, and close everything.

        Args:
            hunt: Also look for processes that have left the group and the descent.
        """
        self.kill()
        if hunt:
            await asyncio.to_thread(kill_marked, self.mark)
        await asyncio.wait({self.exited}, timeout=_LAST_WAIT_S)
        self._drain()
        KEEPER.remove(self._process.pid)
        ended = self._reap()
        self._let_go()
        return ended

    def _drain(self) -> None:
        while not self.closed.done() and not self.flooded.done():
            before = self._capture.total
            self._read()
            if self._capture.total == before:
                return

    def _reap(self) -> Ended:
        if self._process.returncode is not None:
            return Ended(_as_shell(self._process.returncode), None, None)
        if not self.exited.done():
            return Ended(None, None, None)
        try:
            _, status, usage = os.wait4(self._process.pid, 0)
        except ChildProcessError:  # another handler of the program took the status
            self._process.returncode = 0
            return Ended(None, None, None)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(_as_shell(self._process.returncode), usage.ru_utime + usage.ru_stime, _peak_kb(usage.ru_maxrss))

    def _let_go(self) -> None:
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._capture.close()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        if self._poll is not None:
            self._poll.cancel()


def _fork(launch: Launch, output: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        launch.argv,
        cwd=launch.cwd,
        env=launch.env,
        pass_fds=launch.fds,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _as_shell(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def _peak_kb(maximum: int) -> int | None:
    """The kernel counts our own size as the child's, up to the moment when it becomes another program."""
    if maximum <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        return None
    return maximum // 1024 if sys.platform == "darwin" else maximum
