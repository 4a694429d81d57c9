"""Lines between the guest and the test, over the guest's serial console."""

import json
import time
from dataclasses import asdict, dataclass

STEP = "guest: step "
"""Begins a line that tells of a step of the clock."""


@dataclass(frozen=True)
class Step:
    """One step of the guest's clock, in seconds since the epoch.

    Attributes:
        offset_s: From the true time, as asked.
        before: The clock before it.
        after: The clock after it.
        true_before: What the clock would have shown before it, had it never been set.
        true_after: The same after it.
    """

    offset_s: int
    before: float
    after: float
    true_before: float
    true_after: float

    def __str__(self) -> str:
        return STEP + json.dumps(asdict(self))

    @property
    def applied(self) -> bool:
        """Whether the clock stands where it was to stand."""
        return self.true_before - 1 < self.after - self.offset_s < self.true_after + 1

    @classmethod
    def read(cls, line: str) -> "Step | None":
        """The step that a line tells of."""
        return cls(**json.loads(line.removeprefix(STEP))) if line.startswith(STEP) else None


def say(what: object) -> None:
    """Print a line; one that is no step begins with the seconds since boot."""
    when = "" if isinstance(what, Step) else f"[{time.clock_gettime(time.CLOCK_BOOTTIME):7.1f}] "
    print(f"{when}{what}", flush=True)
