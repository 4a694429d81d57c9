"""How long workflows wait before they try again, or ask again."""

from pydantic import BaseModel

HELD_AGAIN_S = 2.0
HELD_AGAIN_AT_MOST_S = 60.0
ASK_AGAIN_AT_MOST_S = 3600.0
"""Tasks ask ever more seldom: hundreds of them may wait for days until their user raises a limit."""
AGAIN_AT_MOST_S = 600.0
CANCEL_AGAIN_S = 4.0
CANCEL_WAITS_S = 60.0
"""Time that a cancelled planner waits for the handoffs of the children that it cancelled."""
DIGEST_EVERY_S = 30.0
PUBLISH_EVERY_S = 300.0

WHY_CHARS = 2_000
"""Characters of a reason that history carries."""


class Retry(BaseModel):
    """An effect that failed for good and is tried again, ever more seldom, without a limit of tries.

    Attributes:
        again_s: The wait in seconds before the next try; it doubles with each failure, up to ten minutes.
        at: Time of the next try.
        why: The last failure, in words; empty when there is none.
    """

    again_s: float
    at: float = 0.0
    why: str = ""

    def failed(self, why: str, now: float, *, grows: bool = True) -> None:
        """Book a failure."""
        self.at, self.why = now + self.again_s, why
        if grows:
            self.again_s = later(self.again_s)


def later(again_s: float) -> float:
    """Seconds until the next try, after a wait of `again_s`."""
    return max(again_s, min(2 * again_s, AGAIN_AT_MOST_S))


def held_again_after(seconds: float) -> float:
    """The next wait before an agent that is held for a reason unknown here is asked again: up to a minute."""
    return min(2 * seconds, HELD_AGAIN_AT_MOST_S)


def asked_again_after(seconds: float) -> float:
    """Seconds until a question without an answer is repeated the next time: twice as long, up to an hour."""
    return max(seconds, min(2 * seconds, ASK_AGAIN_AT_MOST_S))
