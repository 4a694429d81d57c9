"""Every failure that Headway names, sorted by the one who reacts to it.

HeadwayError
    UserError        the user is told: one message of what, where and what to do; nothing was changed
    TransientError   Temporal retries the activity, after `delay_s` when the other side named one
      Parked         the agent's activity ends as `suspended`, and its workflow resumes it at `until`
      Shortage       the same as its parent; with a paid reply in memory the agent waits within its activity
    ToolError        the model is told, as the answer to its tool call, and goes on
    AgentStopped     the agent hands off: `status` and `why` become its handoff
    HeldBack         the agent's activity ends as `suspended`, and goes on when the user lets it
    LeaseLost        a newer holder works for this agent: this one stops, and changes nothing more

Anything else is a bug of ours: it fails the activity attempt with its traceback, and is never swallowed.
"""

from typing import TYPE_CHECKING

# A process that only edits a text imports this module, and must not load pydantic for it.
if TYPE_CHECKING:
    from headway.domain.handoff import HandoffStatus


class HeadwayError(Exception):
    """The root of the tree."""


class UserError(HeadwayError):
    """A problem that only the user can solve.

    Args:
        message: One readable message: the problem, and its place.
        remedy: The remedy, as a sentence or a command.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n{remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class TransientError(HeadwayError):
    """The other side could not answer now; the same attempt may succeed later.

    Args:
        message: The failed action.
        delay_s: Seconds to wait before the next try, when the other side or our own table says so.
        cut_off: A model call that was sent and has no readable answer: it may have been paid all the same.
    """

    def __init__(self, message: str, delay_s: float | None = None, *, cut_off: bool = False) -> None:
        super().__init__(message)
        self.delay_s = delay_s
        self.cut_off = cut_off


class Parked(TransientError):
    """The way to the model is closed for longer than an agent should hold a slot for it.

    Args:
        message: The model, and the reason.
        delay_s: Seconds until it is worth another try. No moment: the clock that would name it may step meanwhile.
    """

    delay_s: float

    def __init__(self, message: str, delay_s: float) -> None:
        super().__init__(message, delay_s)


class Shortage(TransientError):
    """The machine is short of a resource: disk, inodes, file descriptors, memory, processes. It passes; see
    `headway.system.shortage`.
    """


class ToolError(HeadwayError):
    """A tool call that cannot be carried out; its text goes back to the model and names the next step."""


class AgentStopped(HeadwayError):
    """An agent cannot go on; its harness-made handoff carries `status` and `why`."""

    def __init__(self, status: "HandoffStatus", why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class HeldBack(HeadwayError):
    """The user paused or cancelled the agent or a subtree that holds it. The beat raises it at the next step."""


class LeaseLost(HeadwayError):
    """A write under an old lease was refused.

    Every log append, snapshot, stored handoff and landing carries the lease of its agent.
    """
