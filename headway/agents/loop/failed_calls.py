"""Counts an agent's failed model calls, from its log, where waiting does not cure the failure."""

from dataclasses import dataclass, field

from headway.domain.errors import HeadwayError
from headway.eventlog.events.conversation import LlmRetry
from headway.models.failures import UNUSABLE_AT_MOST, ContextOverflow, Failing, FatalModelError, NoUsableReply, Unusable

AT_ONCE = 3
PAUSES_S = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Seconds until the next try of a call that the server has failed for more than `AT_ONCE` times."""


@dataclass
class FailedCalls:
    """The failures since the model's newest reply or the question for a handover note.

    Attributes:
        final: Kinds of the failures that the same call would meet again: `ContextOverflow` and `FatalModelError`.
        unusable: Number of unusable replies in a row.
        failing: Number of calls that the server failed.
    """

    final: list[str] = field(default_factory=list)
    unusable: int = 0
    failing: int = 0

    def take(self, retry: LlmRetry) -> None:
        """Count a failed call."""
        self.unusable += retry.kind == Unusable.__name__
        self.failing += retry.kind == Failing.__name__
        if retry.final:
            self.final.append(retry.final)
            self.unusable = 0

    def judged(self, error: HeadwayError) -> HeadwayError:
        """`error` itself, or `NoUsableReply` when it is the last unusable reply that an attempt may have in a row.

        A server that fails again and again, perhaps at this request alone, is asked ever more rarely.
        """
        if isinstance(error, Failing) and error.delay_s is None and self.failing >= AT_ONCE:
            error.delay_s = PAUSES_S[min(self.failing - AT_ONCE, len(PAUSES_S) - 1)]
        if isinstance(error, Unusable) and self.unusable + 1 >= UNUSABLE_AT_MOST:
            return NoUsableReply(f"{UNUSABLE_AT_MOST} times in a row: {error}")
        return error


def final_kind(error: HeadwayError) -> str:
    """The kind of a failure that the same call would meet again; empty for other failures."""
    kinds = (ContextOverflow, FatalModelError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), "")
