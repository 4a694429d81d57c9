"""Heartbeat of a process's event loop: bytes on a pipe whose other end its supervisor holds."""

import asyncio
import contextlib
import os
import stat
from collections.abc import MutableMapping
from typing import Self

VARIABLE = "HEADWAY_HEARTBEAT_FD"
EVERY_S = 1.0
BEAT, AT_WORK = b".", b"w"


class Heartbeat:
    """Beats while its block runs; without a supervisor it does nothing.

    The beats come from the event loop itself: a loop that is blocked, or kept from running by code that holds the
    interpreter's lock, falls silent. The supervisor listens for that silence.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._beating: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, env: MutableMapping[str, str]) -> Self:
        """The heartbeat that the supervisor asked for.

        Takes the variable out of `env` and keeps the pipe to this process: commands inherit neither.
        """
        named = env.pop(VARIABLE, "")
        if not named.isdecimal():
            return cls(None)
        fd = int(named)
        try:
            if not stat.S_ISFIFO(os.fstat(fd).st_mode):
                return cls(None)
        except OSError:
            return cls(None)
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
        return cls(fd)

    @property
    def is_heard(self) -> bool:
        """True if a supervisor started this process and listens."""
        return self._fd is not None

    async def __aenter__(self) -> Self:
        if self._fd is not None:
            self._beating = asyncio.create_task(self._beat(), name="heartbeat")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})

    def at_work(self) -> None:
        """Tell the supervisor that the start is over and the process does its work."""
        self._say(AT_WORK)

    async def _beat(self) -> None:
        while True:
            self._say(BEAT)
            await asyncio.sleep(EVERY_S)

    def _say(self, what: bytes) -> None:
        if self._fd is not None:
            # A full pipe already holds beats for the supervisor to find. A broken one means that the supervisor has
            # died; this process dies with it.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(self._fd, what)
