"""`HEADWAY_HOME/supervisor.json`: the supervisor and its processes, for commands that look at them or stop them."""

import fcntl
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.errors import UserError
from headway.system.files import write_whole
from headway.system.process import Process


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


def write_state(home: Path, name: str, state: SupervisorState) -> None:
    """Replace the state in one step, so that a reader never sees half of it."""
    write_whole(home / f"{name}.json", f"{state.model_dump_json(indent=1)}\n".encode(), synced=False)


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
