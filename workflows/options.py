"""One table of the options of activities: queues, timeouts, retries, priorities.

Temporal's bounds are only a net; an agent's own limits count its active time. There is no schedule_to_close, because it
fails at once after a long downtime, and no execution timeout, because it spans continue-as-new.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

from headway.domain.commands import Call, Launch
from headway.domain.defaults import HEARTBEAT_S
from headway.domain.ids import AgentId, parent_of

QUEUE = "headway"
AGENT_QUEUE = "headway-agents"

NET = timedelta(days=30)
PLANNING, FIXING, WORKING = 1, 2, 3
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10))


class ActivityOptions(TypedDict):
    """The arguments of `execute_activity` except the activity and its own argument."""

    task_queue: str
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    priority: Priority
    summary: str


@dataclass(frozen=True)
class Caller:
    """The calling planner, for fairness: queues inherit priority and fairness unless each call sets its own."""

    planner: AgentId
    heartbeat_s: int = HEARTBEAT_S


def housekeeping(caller: Caller, summary: str) -> ActivityOptions:
    """Short effects, in the same queue as planning: prepare, publish, store, report, audit."""
    return _options(caller, summary, QUEUE, PLANNING, ActivityCancellationType.TRY_CANCEL)


def thinking(caller: Caller, summary: str) -> ActivityOptions:
    """A planning turn. A cancelled one is not waited for: storing the handoff raises the lease and fences it."""
    return _options(caller, summary, QUEUE, PLANNING, ActivityCancellationType.TRY_CANCEL)


def proving(caller: Caller, summary: str) -> ActivityOptions:
    """The user's check, which runs where agents run."""
    return _options(caller, summary, AGENT_QUEUE, PLANNING, ActivityCancellationType.TRY_CANCEL)


def working(caller: Caller, call: Call | Launch) -> ActivityOptions:
    """A worker. A cancelled one is waited for, or its `Task` would close while the agent still writes.

    A suspended one comes before those that have not begun, so that begun work can end.
    """
    sooner = call.priority + call.resumed if isinstance(call, Launch) else 0
    key = max(1, min(5, WORKING - sooner))
    return _options(caller, call.summary, AGENT_QUEUE, key, ActivityCancellationType.WAIT_CANCELLATION_COMPLETED)


def child_priority(parent: AgentId) -> Priority:
    """The priority of a planner's children as workflows; their activities set their own."""
    return Priority(priority_key=WORKING, fairness_key=_fairness(parent))


def _options(
    caller: Caller, summary: str, queue: str, key: int, cancellation: ActivityCancellationType
) -> ActivityOptions:
    return ActivityOptions(
        task_queue=queue,
        start_to_close_timeout=NET,
        heartbeat_timeout=timedelta(seconds=caller.heartbeat_s),
        retry_policy=RETRY,
        cancellation_type=cancellation,
        priority=Priority(priority_key=key, fairness_key=_fairness(caller.planner)),
        summary=summary[:200],
    )


def _fairness(planner: AgentId) -> str:
    # The server takes at most 64 bytes; planners differ in the end of their ids.
    return planner[-64:]


def caller_of(child: AgentId, heartbeat_s: int) -> Caller:
    """The caller of a child's activities: its planner, so that one planner cannot starve the others."""
    return Caller(planner=parent_of(child), heartbeat_s=heartbeat_s)
