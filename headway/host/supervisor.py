"""Keeps named child processes running, and ends them when it ends."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from headway.domain.errors import UserError
from headway.host.child_event import ChildEvent, how_it_ended
from headway.host.child_process import KEEP_LOG_BYTES, POLL_S, ChildProcess, Started, start_child, tail
from headway.host.child_watch import ChildWatch, Timing
from headway.host.supervisor_state import PublishedState, claim
from headway.system.signals import on_end_asked

NOT_CURED_BY_RESTART = frozenset({2, 127})
"""Exit codes after which a child that never worked is not restarted: the user must correct something first."""


class Supervisor:
    """Runs children in the order they were started and stops them in reverse.

    Children die with this process, however it ends. A child that dies or does not answer is started again after a
    growing wait, unless its `restart` is off. A machine without disk space, memory, processes or descriptors delays a
    restart and never prevents it. Use it from the main thread's event loop: the kernel ties the children to the thread
    that started them.

    Args:
        home: The folder for `<name>.json` and `logs/`.
        name: Distinguishes several supervisors of one home.
        on_event: Called at every start and death.
        leash: "kernel" or "pipe": the means by which children die with this process; by default that of the system.
        timing: Its times.
        log_bytes: Size up to which a child's log grows before it is set aside.

    Raises:
        UserError: On entering, when another supervisor of that name lives in `home`.
    """

    def __init__(
        self,
        home: Path,
        *,
        name: str = "supervisor",
        on_event: Callable[[ChildEvent], None] | None = None,
        leash: str | None = None,
        timing: Timing | None = None,
        log_bytes: int = KEEP_LOG_BYTES,
    ) -> None:
        self.home = home
        self.name = name
        self.logs = home / "logs"
        self._on_event = on_event or (lambda _: None)
        self._leash = leash or ("kernel" if sys.platform == "linux" else "pipe")
        self._timing = timing or Timing()
        self._log_bytes = log_bytes
        self._running: dict[str, Started] = {}
        self._state = PublishedState(home, name)
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._proven: set[str] = set()
        self._ended = asyncio.Event()
        self._why: Exception | None = None
        self._signalled = False

    async def __aenter__(self) -> Self:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._lock = claim(self.home, self.name)
        except OSError as error:
            raise UserError(
                f"{self.home}: cannot be written to: {error.strerror}", "Make room, or allow it."
            ) from error
        self._pipe = os.pipe() if self._leash == "pipe" else None
        self._loop = asyncio.get_running_loop()
        self._handlers = on_end_asked(self._loop, self._on_signal)
        self._state.write()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        for number, handler in self._handlers.items():
            self._loop.remove_signal_handler(number)  # leaves the system's own in place of the one before
            signal.signal(number, handler or signal.SIG_DFL)
        for end in self._pipe or ():
            os.close(end)
        self._state.remove()
        os.close(self._lock)

    def know(self, **facts: str) -> None:
        """Publish facts in the state file. Other processes read it, so it must hold no secrets."""
        self._state.facts.update(facts)
        self._state.write()

    @property
    def facts(self) -> dict[str, str]:
        """The facts that `know` published."""
        return dict(self._state.facts)

    def pid(self, name: str) -> int | None:
        """The process id of a child that runs now."""
        started = self._running.get(name)
        return started.pid if started is not None and started.alive else None

    def pids(self, *names: str) -> list[int]:
        """The process ids of those of these children that run now."""
        return [pid for pid in map(self.pid, names) if pid is not None]

    def log(self, name: str) -> Path:
        """The file that holds a child's output."""
        return self.logs / f"{name}.log"

    def trouble(self, name: str) -> str | None:
        """The reason why waiting for a child is useless, such as its death; None while it runs well.

        Raises:
            KeyboardInterrupt: The supervisor was asked to stop, so the caller must stop waiting.
        """
        if self._why is not None:
            return str(self._why)
        if self.stopping:
            raise KeyboardInterrupt
        state = self._state.children.get(name)
        if state is None or state.last_exit is None:
            return None
        log = self.log(name)
        return f"{name} {how_it_ended(state.last_exit)}; its log, {log}, ends with:\n{tail(log)}"

    async def start(self, child: ChildProcess) -> int:
        """Start a child, watch over it from now on, and return its process id. Waits while the system is short.

        Raises:
            KeyboardInterrupt: The supervisor was asked to stop meanwhile.
        """
        if child.name in self._state.children:
            raise ValueError(f"a child named {child.name} is there already")
        started = self._launched(child)
        wait = self._timing.first_wait_s
        while started is None:
            await self._pause(wait)
            if self.stopping:
                raise KeyboardInterrupt
            wait = min(wait * 2, self._timing.longest_wait_s)
            started = self._launched(child)
        watcher = asyncio.create_task(self._watch(started), name=f"watch {child.name}")
        watcher.add_done_callback(self._watcher_ended)
        self._watchers[child.name] = watcher
        return started.pid

    def ask_to_stop(self) -> None:
        """Make `wait` return, as SIGTERM and SIGINT do."""
        self._ended.set()

    @property
    def stopping(self) -> bool:
        """True if it was asked to stop."""
        return self._ended.is_set()

    async def wait(self) -> None:
        """Return when asked to stop.

        Raises:
            UserError: A child ended whose `restart` is off, or whose restart the user must make possible first.
            Exception: A fault of this program ended the watch over a child.
        """
        await self._ended.wait()
        if self._why is not None:
            raise self._why

    async def stop(self) -> None:
        """Stop all children, the last started first. Each has its own `stop_s`."""
        self._ended.set()
        for name in reversed(self._state.children):
            if (watcher := self._watchers.pop(name, None)) is not None:
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
            if (started := self._running.get(name)) is not None:
                await started.stop()
                self._tell(ChildEvent(name, "stopped", started.pid, started.process.returncode))
        self._running.clear()
        self._state.children.clear()

    def _on_signal(self) -> None:
        if self._signalled:
            # At the second signal children that are still ending are killed.
            for started in self._running.values():
                started.signal(signal.SIGKILL)
        self._signalled = True
        self.ask_to_stop()

    def _launched(self, child: ChildProcess) -> Started | None:
        """Start a child. Reports an event and returns None when the system is short."""
        pipe = self._pipe[0] if self._pipe else None
        try:
            started = start_child(child, self.logs, pipe, time.monotonic())
        except (OSError, MemoryError) as error:
            self._tell(ChildEvent(child.name, "not started", 0, why=_reason(error)))
            return None
        self._running[child.name] = started
        self._state.set_started(child.name, started.pid, self.log(child.name))
        again = self._state.children[child.name].starts > 1
        self._tell(ChildEvent(child.name, "started", started.pid, again=again))
        return started

    async def _watch(self, first: Started) -> None:
        """Start a child again whenever it ends. No shortage of the machine ends this loop."""
        wait, child = self._timing.first_wait_s, first.child
        started: Started | None = first
        while True:
            if started is not None:
                code = await self._end_of(started)
                started.sweep()
                self._state.set_ended(child.name, code)
                self._tell(ChildEvent(child.name, "died", started.pid, code))
                if time.monotonic() - started.at >= self._timing.healthy_s:
                    self._proven.add(child.name)
                    wait = self._timing.first_wait_s
                if not child.restart or (code in NOT_CURED_BY_RESTART and child.name not in self._proven):
                    self._give_up(child, code)
                    return
            await self._pause(wait)
            wait = min(wait * 2, self._timing.longest_wait_s)
            started = self._launched(child)

    async def _end_of(self, started: Started) -> int:
        """Wait for a child's end and return its exit code. A child that does not answer is killed."""
        name = started.child.name
        watch = ChildWatch(started, self._timing, self.log(name), self._log_bytes, self._tell)
        while (code := started.process.poll()) is None:
            await self._pause(POLL_S)
            watch.look()
            if watch.has_worked:
                self._proven.add(name)
        return code

    async def _pause(self, seconds: float) -> None:
        """Sleep, and try again to write a state that could not be written."""
        self._state.retry_write()
        await asyncio.sleep(seconds)

    def _watcher_ended(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            assert isinstance(error, Exception)
            self._why = self._why or error
            self._ended.set()

    def _give_up(self, child: ChildProcess, code: int) -> None:
        if self._why is None and not self._ended.is_set():
            said = tail(self.log(child.name))
            self._why = UserError(
                f"{child.name} {how_it_ended(code)}.", f"Its log, {self.log(child.name)}, ends with:\n{said}"
            )
        self._ended.set()

    def _tell(self, event: ChildEvent) -> None:
        # The terminal may be gone, or the output redirected to a full disk; supervision goes on.
        with suppress(OSError, ValueError):
            self._on_event(event)


def _reason(error: OSError | MemoryError) -> str:
    """The system's words for a failed start, without its error number."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or "no memory"


def supervise(
    home: Path, children: Iterable[ChildProcess], on_event: Callable[[ChildEvent], None] | None = None
) -> None:
    """Run `children` until SIGTERM or SIGINT; for a program that does nothing else.

    Raises:
        UserError: Another supervisor has this home, or a child needs the user before it can be started again.
    """

    async def run() -> None:
        async with Supervisor(home, on_event=on_event) as supervisor:
            for child in children:
                await supervisor.start(child)
            await supervisor.wait()

    asyncio.run(run())
