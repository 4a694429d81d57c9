"""A time in which the server refuses all requests: the outside view of a quota that is used up."""

import threading
import time
from typing import Literal

from headway.rehearsal.fault import Fault
from headway.rehearsal.outage import OutageAnswer, refusal_of
from headway.rehearsal.part import Part, Positive, Seconds


class Blackout(Part):
    """The start of the blackout, its length, and the form of its refusals.

    Attributes:
        after: Requests that are served before it begins.
        seconds: Its length in seconds.
        says_when: True if a refusal names the reset, by Retry-After.
    """

    kind: Literal["rate_limit", "quota", "unavailable"] = "quota"
    after: Positive
    seconds: Seconds
    says_when: bool = False


class Dark:
    """The blackout of one server's life. Safe to be read from other threads while it serves."""

    def __init__(self, blackout: Blackout | None, model: str) -> None:
        self._blackout = blackout
        self._model = model
        self._lock = threading.Lock()
        self._served = 0
        self._began: float | None = None
        self._refused: list[float] = []

    def refuses(self) -> OutageAnswer | None:
        """The answer to the next request, if it falls into the dark."""
        plan = self._blackout
        if plan is None:
            return None
        with self._lock:
            self._served += 1
            if self._served <= plan.after:
                return None
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            passed = now - self._began
            if passed >= plan.seconds:
                return None
            self._refused.append(round(passed, 3))
        left = plan.seconds - passed if plan.says_when else None
        answer = refusal_of(Fault(kind=plan.kind, share=1, retry_after_s=left), self._model, "blackout")
        assert answer is not None
        return answer

    def report(self) -> dict[str, list[float]]:
        """Times of refused requests, in seconds from the first of them; nothing without a blackout."""
        if self._blackout is None:
            return {}
        with self._lock:
            return {"refused_at_s": list(self._refused)}
