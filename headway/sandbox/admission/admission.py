"""Admission of commands, for all processes of a machine: few heavy ones at a time, none while it is short.

A slot is a locked file, so that the kernel gives it back when its holder dies.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from headway.domain.diagnostic import Diagnostic
from headway.domain.errors import Shortage
from headway.sandbox.admission.command_cost import LongRunners, is_heavy
from headway.sandbox.admission.machine import Machine, MachineBounds
from headway.system.shortage import WAIT_S

TRY_EVERY_S = 0.1
"""Seconds between two tries of the first command in our line, for a slot that another process may have given back."""

LOOK_EVERY_S = 1.0
LONGEST_WAIT_S = 300.0
"""Longest wait of a command for a short machine. After it the command runs if memory is short, because its group bounds
it. If the disk is short, its agent waits on outside of this process, and no model hears of it."""

DISK = frozenset({"disk", "inodes"})


@dataclass(frozen=True)
class Waited:
    """The wait of one command for admission.

    Attributes:
        seconds: Until it could start.
        why: Reasons of the wait, in their order: "slot", "memory", "disk", "inodes".
    """

    seconds: float = 0.0
    why: tuple[str, ...] = ()


class Admission:
    """Admission as one process sees it. For one event loop.

    Args:
        folder: Folder of the locks; the same for all processes of a state folder.
        slots: Heavy commands at once on this machine.
        look: Measures the machine.
        bounds: Bounds at which it counts as short.
        longest_wait_s: See `LONGEST_WAIT_S`.
    """

    def __init__(
        self,
        folder: Path,
        slots: int,
        *,
        look: Callable[[Path], Machine] = Machine.look,
        bounds: MachineBounds | None = None,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self.slots = slots
        self._folder = folder
        self._look = look
        self._bounds = bounds or MachineBounds()
        self._longest_wait_s = longest_wait_s
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()
        self._looked = (0.0, None)  # type: tuple[float, str | None]
        self._long = LongRunners()

    @contextlib.asynccontextmanager
    async def passed(self, line: str) -> AsyncIterator[Waited]:
        """Wait for admission, for a slot too if the command is heavy; the slot is given back at the end.

        Waiting ends at once when the caller is cancelled.

        Raises:
            Shortage: The disk was too full for too long; the command must not run yet.
        """
        began, why = time.monotonic(), []
        async with contextlib.AsyncExitStack() as stack:
            short = await self._until_not_short()
            why += [short] if short else []
            if is_heavy(line) or self._long.knows(line):
                slot = self._free_slot() if not self._line.locked() else None
                if slot is None:
                    why.append("slot")
                    slot = await self._wait_for_slot()
                stack.callback(self._give_back, slot)
            yield Waited(time.monotonic() - began if why else 0.0, tuple(why))

    def note(self, line: str, cpu_s: float | None) -> None:
        """A command is over: one that used much processor time is heavy the next time."""
        self._long.note(line, cpu_s)

    def findings(self) -> tuple[Diagnostic, ...]:
        """The findings of `headway doctor` about the state of the machine and the number of heavy commands."""
        machine = self._look(self._nearest())
        short = machine.short_of(self._bounds) or machine.full_for_agents(self._bounds)
        pressure = "not told by this kernel" if machine.pressure is None else f"{machine.pressure:.0f} %"
        swap = "no swap" if machine.swap is None else f"swap {machine.swap:.0%} in use"
        says = (
            f"memory {machine.memory:.0%} free, its pressure {pressure}, {swap}; disk {machine.disk.shown()}; "
            f"{self._taken()} of {self.slots} heavy commands run"
        )
        if short is None:
            return (Diagnostic(topic="machine", state="good", says=says),)
        remedy = "free some of it: headway gc removes what ended runs left" if short in DISK else "run fewer agents"
        return (Diagnostic(topic="machine", state="lacking", says=f"{says}; short of {short}", remedy=remedy),)

    async def _until_not_short(self) -> str | None:
        """Wait until the machine is not short. Returns the resource that was waited for; None without a wait."""
        short = first = self._short()
        began = time.monotonic()
        while short is not None and time.monotonic() - began < self._longest_wait_s:
            await asyncio.sleep(min(LOOK_EVERY_S, self._longest_wait_s))
            short = self._short()
        if short in DISK:
            disk = self._look(self._nearest()).disk
            raise Shortage(f"a command waits for room on the disk of {self._folder}: {disk.shown()}", WAIT_S)
        return first

    def _short(self) -> str | None:
        """The resource that the machine is short of. It is measured once a second for all callers."""
        at, short = self._looked
        if time.monotonic() - at >= LOOK_EVERY_S or at == 0.0:
            short = self._look(self._nearest()).short_of(self._bounds)
            self._looked = (time.monotonic(), short)
        return short

    async def _wait_for_slot(self) -> int:
        async with self._line:  # first come, first served, within this process
            while (slot := self._free_slot()) is None:
                self._freed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), TRY_EVERY_S)
            return slot

    def _free_slot(self) -> int | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.slots):
            slot = os.open(self._folder / f"heavy-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(slot)
            else:
                return slot
        return None

    def _give_back(self, slot: int) -> None:
        os.close(slot)
        self._freed.set()

    def _taken(self) -> int:
        taken = 0
        for number in range(self.slots):
            with contextlib.suppress(FileNotFoundError), (self._folder / f"heavy-{number}").open("rb") as slot:
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    taken += 1
        return taken

    def _nearest(self) -> Path:
        """The folder itself, or its nearest parent that exists."""
        return next(place for place in (self._folder, *self._folder.parents) if place.exists())
