"""Events of supervised children, each with a sentence for the user."""

import signal
from dataclasses import dataclass
from typing import Literal, assert_never

What = Literal["started", "died", "stopped", "silent", "waits for a disk", "not started"]


@dataclass(frozen=True)
class ChildEvent:
    """One event of one child.

    Attributes:
        pid: Its process; 0 where none was started.
        exit_code: Of one that died or stopped; negative for a signal.
        again: It ran before.
        why: The system's words for why it was not started.
    """

    name: str
    what: What
    pid: int
    exit_code: int | None = None
    why: str = ""
    again: bool = False

    def __str__(self) -> str:
        who = f"{self.name} (process {self.pid})"
        match self.what:
            case "started":
                return f"{self.name} was started again (process {self.pid})." if self.again else f"{who} was started."
            case "died":
                return f"{who} {how_it_ended(self.exit_code or 0)}."
            case "stopped":
                return f"{who} was stopped."
            case "silent":
                return f"{who} does not answer although it had processor time. It is killed and started again."
            case "waits for a disk":
                return f"{who} does not answer: it waits for a disk or a network folder, where no signal reaches it."
            case "not started":
                return f"{self.name} cannot be started now ({self.why}). It is tried again."
            case never:
                assert_never(never)


def how_it_ended(code: int) -> str:
    """An exit code in words; a signal with its name."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name} (signal {-code})"
    except ValueError:
        # Realtime signals but the first and the last have no name.
        return f"was killed by signal {-code}"
