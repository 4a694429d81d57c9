"""Commands: all that a workflow can do. `decide` makes them from a state, and one interpreter performs them.

A command is booked in the state by `begin` before it is performed, so that it is not decided again; its result is
booked by `finish`.
"""

from dataclasses import dataclass

from pydantic import BaseModel

from headway.domain.check import RunCheck
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey
from headway.domain.messages import Ask, CallBack, DescribeChildren, EndWorker, Grant, StoreHandoff, WorkOrder
from headway.domain.planner_turn import PlanTurn
from headway.domain.run import MeasureSpent, Note, Publish, WriteAmendment, WriteReport
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control
from headway.domain.tree import TreeNode

Order = (
    PlanTurn
    | WorkOrder
    | EndWorker
    | StoreHandoff
    | DescribeChildren
    | RunCheck
    | Publish
    | Note
    | WriteAmendment
    | MeasureSpent
    | WriteReport
)
"""The argument of each activity that a command can call."""

Upward = HandoffNotice | Ask | TreeNode
"""Messages to the workflow above."""

Downward = Grant | CallBack | Control
"""Messages to a child."""


@dataclass(frozen=True)
class Failed:
    """The result of an activity that failed for good: with a `UserError`, or too often in a row for an unnamed reason.

    Attributes:
        why: The cause in words.
        by_user: True if only the user can remove the cause.
    """

    why: str
    by_user: bool = False


@dataclass(frozen=True)
class StartChild:
    """Start a child, or adopt the one that a retry or a reset finds started. Its result is True for an adopted one.

    Attributes:
        workflow: The name of its type.
        argument: The argument of its type.
        depth: Its level below the run; 1 for a root planner.
    """

    key: ChildKey
    workflow: str
    me: AgentId
    title: str
    role: str
    depth: int
    granted: Amount
    argument: BaseModel


@dataclass(frozen=True)
class Signal:
    """Send a message to a child. Its result is False when the child is closed."""

    to: AgentId
    message: Downward


@dataclass(frozen=True)
class SignalAbove:
    """Send a message to the nearest workflow above that is open. Its result is False when all are closed."""

    message: Upward


@dataclass(frozen=True)
class CancelChild:
    """Ask a child to cancel. Its result is False when the child is closed."""

    child: AgentId


@dataclass(frozen=True)
class Call:
    """Call an activity, and wait for its result before anything else is decided.

    Attributes:
        request: The user's order that needs the result, by its request; empty for none.
    """

    order: Order
    summary: str
    request: str = ""


@dataclass(frozen=True)
class Launch:
    """Call an activity that may take long: other commands are decided while it runs. One at a time.

    Attributes:
        priority: See `TaskSpec.priority`.
        resumed: The same work was interrupted before.
    """

    order: Order
    summary: str
    priority: int = 0
    resumed: bool = False


@dataclass(frozen=True)
class Abandon:
    """Ask the launched activity to cancel.

    Attributes:
        awaited: Its result still counts; else it is not waited for.
    """

    awaited: bool = False


@dataclass(frozen=True)
class ListAs:
    """Show the workflow's state in lists. States only: each change is an event of the history."""

    state: str


@dataclass(frozen=True)
class Record:
    """A consequence of the time or of the state alone. It is booked, and nothing is performed."""

    event: BaseModel


@dataclass(frozen=True)
class Sleep:
    """Wait until something comes in, at most until this time in seconds since the epoch."""

    until: float | None = None


@dataclass(frozen=True)
class ContinueAsNew:
    """Close this history and go on in a new one with this argument."""

    argument: object


@dataclass(frozen=True)
class End:
    """The workflow ends with this result; as cancelled, if that was asked for meanwhile."""

    result: BaseModel | None


Command = (
    StartChild
    | Signal
    | SignalAbove
    | CancelChild
    | Call
    | Launch
    | Abandon
    | ListAs
    | Record
    | Sleep
    | ContinueAsNew
    | End
)
"""All commands; closed."""


class Cancelled(BaseModel):
    """Event: the workflow was asked to cancel."""


class Observed(BaseModel):
    """Event: facts about the history itself, before each decision.

    Attributes:
        long: The service suggests to continue as new.
        settled: No handler of a message is at work.
    """

    long: bool = False
    settled: bool = True
