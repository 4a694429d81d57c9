"""One worker at a time in a workspace: the holder of the newest lease of the agent's log.

After a reset of its `Task`, or a heartbeat that came too late, an agent has a new holder while the old one still works
and does not know. The log refuses the writes of the old one; here it is kept from the files.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pydantic import ValidationError

from headway.eventlog.store import AgentLog
from headway.git.workspace.workspace import Workspace
from headway.system.process import Process
from headway.system.stopped import PATIENCE_S, StoppedHolder
from headway.system.tasks import until_ended

T = TypeVar("T")

LOCK = "work.lock"
LOOK_EVERY_S = 0.5
"""Seconds between two looks of a command's holder if it still is the holder."""
TRY_EVERY_S = 0.1
NOTE_BYTES = 4096
"""More than any note of a holder takes."""


@asynccontextmanager
async def alone(workspace: Workspace, log: AgentLog, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """Hold the lock of the workspace's files for one step; waits for an earlier holder.

    The kernel releases the lock of a process that died. A stopped holder is killed after `patience_s`.

    Raises:
        LeaseLost: A newer holder is here.
    """
    handle = os.open(workspace.home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    watch = StoppedHolder(f"the workspace {workspace.home.name}", patience_s)
    try:
        while not _taken(handle):
            log.check()
            watch.look(lambda: _holder(handle))
            await asyncio.sleep(TRY_EVERY_S)
        log.check()
        _note_holder(handle)
        yield
    finally:
        os.close(handle)


async def while_held(log: AgentLog, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as a newer holder is here.

    Raises:
        LeaseLost: It was; nothing of `work` runs any more.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_EVERY_S)
            if not task.done():
                log.check()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await until_ended(task)


def _note_holder(handle: int) -> None:
    """Note the holder of the lock. On a full disk the note is missing, and the lock works without it."""
    note = Process.own().model_dump_json().encode()
    with suppress(OSError):
        if os.pread(handle, NOTE_BYTES, 0) != note:
            os.pwrite(handle, note, 0)
            os.ftruncate(handle, len(note))


def _holder(handle: int) -> Process | None:
    try:
        return Process.model_validate_json(os.pread(handle, NOTE_BYTES, 0))
    except (OSError, ValidationError):
        return None


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
