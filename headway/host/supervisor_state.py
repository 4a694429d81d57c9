"""`HEADWAY_HOME/supervisor.json`: the supervisor and its processes, for commands that look at them or stop them."""

import fcntl
import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.errors import UserError
from headway.system.files import write_whole
from headway.system.process import Process

_log = logging.getLogger(__name__)


class ChildState(BaseModel):
    """One child as it stands; `pid` is None while it waits for its restart."""

    model_config = ConfigDict(frozen=True)

    pid: int | None
    starts: int
    log: str
    last_exit: int | None = None


class SupervisorState(BaseModel):
    """A living supervisor's record of itself. It holds no part of any environment.

    Attributes:
        process: The supervisor's own process.
        facts: Facts for other commands, such as the service's address.
    """

    model_config = ConfigDict(frozen=True)

    process: Process
    facts: dict[str, str] = {}
    children: dict[str, ChildState] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        """The supervisor that wrote this still runs."""
        return self.process.alive


def read_state(home: Path, name: str = "supervisor") -> SupervisorState | None:
    """The state of the supervisor that lives, or None."""
    try:
        state = SupervisorState.model_validate_json((home / f"{name}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return state if state.alive else None


class PublishedState:
    """The record of this process as a supervisor, and its file. A full disk delays the file and nothing else.

    Attributes:
        facts: Facts for other commands, none of them secret.
        children: By name.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.facts: dict[str, str] = {}
        self.children: dict[str, ChildState] = {}
        self._path = home / f"{name}.json"
        self._own = Process.own()
        self._failed = False

    def set_started(self, name: str, pid: int, log: Path) -> None:
        """A child was started, for the first time or again."""
        before = self.children.get(name)
        self.children[name] = ChildState(
            pid=pid,
            starts=before.starts + 1 if before else 1,
            log=str(log),
            last_exit=before.last_exit if before else None,
        )
        self.write()

    def set_ended(self, name: str, exit_code: int) -> None:
        """A child has ended."""
        self.children[name] = self.children[name].model_copy(update={"pid": None, "last_exit": exit_code})
        self.write()

    def write(self) -> None:
        """Replace the file in one step, so that a reader never sees half of it."""
        state = SupervisorState(process=self._own, facts=self.facts, children=self.children)
        try:
            write_whole(self._path, f"{state.model_dump_json(indent=1)}\n".encode(), synced=False)
        except OSError as error:
            if not self._failed:
                _log.warning("%s cannot be written; tried again: %s", self._path, error)
            self._failed = True
        else:
            self._failed = False

    def retry_write(self) -> None:
        """Write the file again if the last attempt failed."""
        if self._failed:
            self.write()

    def remove(self) -> None:
        """Take the file away, at the end of the supervisor."""
        self._path.unlink(missing_ok=True)


def claim(home: Path, name: str) -> int:
    """Take the place of the one supervisor of this name in `home`; the lock goes with the returned file descriptor.

    Raises:
        UserError: Another one lives.
    """
    lock = os.open(home / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        other = read_state(home, name)
        who = f" (process {other.pid})" if other else ""
        raise UserError(
            f"{home}: already in use by a running `headway up` or worker.py{who}",
            "Stop it with `headway down`, or set HEADWAY_HOME to another folder.",
        ) from None
    return lock
