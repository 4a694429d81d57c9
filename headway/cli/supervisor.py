"""Keeps named child processes running, and takes them along when it goes."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from headway.cli.child import Child, Started, start_child, tail
from headway.cli.supervisor_state import ChildState, SupervisorState, claim, write_state
from headway.domain.errors import UserError
from headway.system.process import Process

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
HEALTHY_S = 60.0
"""Who lived this long is restarted without the wait that earlier deaths earned it."""

NOT_CURED_BY_RESTART = frozenset({2, 127})
"""Exit codes of a child that would only say the same again: the user must set something right, or no such program."""


@dataclass(frozen=True)
class ChildEvent:
    """What happened to a child, for whoever shows it: `what` is started, died or stopped."""

    name: str
    what: str
    pid: int
    exit_code: int | None = None


class Supervisor:
    """Runs children in the order they were started and stops them in reverse.

    Children die with this process, however it ends. One that dies is started again, with a growing wait, unless it said
    otherwise. Use it from the main thread's event loop: the kernel ties the children to the thread that started them.

    Args:
        home: Where `<name>.json` and `logs/` go.
        name: Tells several supervisors of one home apart.
        on_event: Told of every start and death.
        leash: "kernel" or "pipe"; default: what the system offers.

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
    ) -> None:
        self.home = home
        self.name = name
        self.logs = home / "logs"
        self._on_event = on_event or (lambda _: None)
        self._leash = leash or ("kernel" if sys.platform == "linux" else "pipe")
        self._running: dict[str, Started] = {}
        self._states: dict[str, ChildState] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._facts: dict[str, str] = {}
        self._ended = asyncio.Event()
        self._why: UserError | None = None
        self._signalled = False

    async def __aenter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self._lock = claim(self.home, self.name)
        self._pipe = os.pipe() if self._leash == "pipe" else None
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._on_signal)
        self._write()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)
        for end in self._pipe or ():
            os.close(end)
        (self.home / f"{self.name}.json").unlink(missing_ok=True)
        os.close(self._lock)

    def know(self, **facts: str) -> None:
        """Write facts into the state for others to read; no secrets."""
        self._facts.update(facts)
        self._write()

    @property
    def facts(self) -> dict[str, str]:
        """What `know` was told so far."""
        return dict(self._facts)

    def pid(self, name: str) -> int | None:
        """The process id of a child that runs now."""
        started = self._running.get(name)
        return started.pid if started is not None and started.alive else None

    def log(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.logs / f"{name}.log"

    def trouble(self, name: str) -> str | None:
        """Why it is of no use to wait for a child: it died. None while it runs well.

        Raises:
            KeyboardInterrupt: When asked to stop, so that whoever waits stops too.
        """
        if self._why is not None:
            return str(self._why)
        if self.stopping:
            raise KeyboardInterrupt
        state = self._states.get(name)
        if state is None or state.last_exit is None:
            return None
        return f"{name} ended with exit code {state.last_exit}; its log, {self.log(name)}, ends with:\n" + tail(
            self.log(name)
        )

    async def start(self, child: Child) -> int:
        """Start a child and watch over it from now on; its process id."""
        if child.name in self._states:
            raise ValueError(f"a child named {child.name} is there already")
        started = await self._launch(child)
        self._watchers[child.name] = asyncio.create_task(self._watch(started), name=f"watch {child.name}")
        return started.pid

    def ask_to_stop(self) -> None:
        """Let `wait` return, as SIGTERM and SIGINT do."""
        self._ended.set()

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._ended.is_set()

    async def wait(self) -> None:
        """Return when asked to stop.

        Raises:
            UserError: When a child ended that is not to be, or cannot usefully be, started again.
        """
        await self._ended.wait()
        if self._why is not None:
            raise self._why

    async def stop(self) -> None:
        """Stop all children, the last started first; each has its own time for that."""
        self._ended.set()
        for name in reversed(self._states):
            if (watcher := self._watchers.pop(name, None)) is not None:
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
            if (started := self._running.get(name)) is not None:
                await started.stop()
                self._on_event(ChildEvent(name, "stopped", started.pid, started.process.returncode))
        self._running.clear()
        self._states.clear()

    def _on_signal(self) -> None:
        if self._signalled:
            # Asked a second time: whoever is still ending has had its chance.
            for started in self._running.values():
                started.signal(signal.SIGKILL)
        self._signalled = True
        self.ask_to_stop()

    async def _launch(self, child: Child) -> Started:
        pipe = self._pipe[0] if self._pipe else None
        started = await start_child(child, self.logs, pipe, time.monotonic())
        self._running[child.name] = started
        before = self._states.get(child.name)
        self._states[child.name] = ChildState(
            pid=started.pid,
            starts=before.starts + 1 if before else 1,
            log=str(self.log(child.name)),
            last_exit=before.last_exit if before else None,
        )
        self._write()
        self._on_event(ChildEvent(child.name, "started", started.pid))
        return started

    async def _watch(self, started: Started) -> None:
        wait, child = FIRST_WAIT_S, started.child
        while True:
            code = await started.process.wait()
            started.sweep()
            self._states[child.name] = self._states[child.name].model_copy(update={"pid": None, "last_exit": code})
            self._write()
            self._on_event(ChildEvent(child.name, "died", started.pid, code))
            if not child.restart or code in NOT_CURED_BY_RESTART:
                self._give_up(child, code)
                return
            if time.monotonic() - started.at >= HEALTHY_S:
                wait = FIRST_WAIT_S
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
            started = await self._launch(child)

    def _give_up(self, child: Child, code: int) -> None:
        if self._why is None and not self._ended.is_set():
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            said = tail(self.log(child.name))
            self._why = UserError(f"{child.name}: {how}", f"Its log, {self.log(child.name)}, ends with:\n{said}")
        self._ended.set()

    def _write(self) -> None:
        state = SupervisorState(process=Process.own(), facts=self._facts, children=self._states)
        write_state(self.home, self.name, state)


def supervise(home: Path, children: Iterable[Child], on_event: Callable[[ChildEvent], None] | None = None) -> None:
    """Run `children` until SIGTERM or SIGINT; for a program that does nothing else.

    Raises:
        UserError: When another supervisor has this home, or a child cannot usefully be started again.
    """

    async def run() -> None:
        async with Supervisor(home, on_event=on_event) as supervisor:
            for child in children:
                await supervisor.start(child)
            await supervisor.wait()

    asyncio.run(run())
