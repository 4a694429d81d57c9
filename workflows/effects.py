"""Calls activities for all workflows. A call that fails for good returns a value and never unwinds its workflow.

`tests/workflows/test_doors.py` keeps `execute_activity` out of every other module.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, assert_never

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.handoffs import Handoffs
from activities.planning import Planning
from activities.repository import Checks, Repository
from activities.work import Work, WorkEnds
from headway.domain.check import RunCheck
from headway.domain.commands import Call, Failed, Launch
from headway.domain.messages import DescribeChildren, EndWorker, StoreHandoff, WorkOrder
from headway.domain.planner_turn import PlanTurn
from headway.domain.run import MeasureSpent, Note, Publish, WriteAmendment, WriteReport
from headway.domain.state.waits import WHY_CHARS
from workflows import options
from workflows.options import ActivityOptions, Caller

P = TypeVar("P")
T = TypeVar("T")


async def perform(call: Call | Launch, caller: Caller) -> Any:
    """Call the activity of a command."""
    short, order = options.housekeeping(caller, call.summary), call.order
    match order:
        case PlanTurn():
            return await attempt(Planning.plan_turn, order, options.thinking(caller, call.summary))
        case WorkOrder():
            return await attempt(Work.run_worker, order, options.working(caller, call))
        case EndWorker():
            return await attempt(WorkEnds.end_worker, order, short)
        case StoreHandoff():
            return await attempt(Handoffs.store_handoff, order, short)
        case DescribeChildren():
            return await attempt(Handoffs.describe_children, order, short)
        case RunCheck():
            return await attempt(Checks.run_check, order, options.proving(caller, call.summary))
        case Publish():
            return await attempt(Repository.publish, order, short)
        case Note():
            return await attempt(Repository.write_note, order, short)
        case WriteAmendment():
            return await attempt(Repository.write_amendment, order, short)
        case MeasureSpent():
            return await attempt(Repository.measure_spent, order, short)
        case WriteReport():
            return await attempt(Repository.write_report, order, short)
        case _:
            assert_never(order)


async def attempt(effect: Callable[[Any, P], Awaitable[T]], order: P, options: ActivityOptions) -> T | Failed:
    """Call an activity. The caller turns a failure into a note, a verdict or a handoff."""
    try:
        return await workflow.execute_activity_method(effect, order, **options)
    except ActivityError as error:
        return _failed(error)


def _failed(error: ActivityError) -> Failed:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return Failed(why=cause.message[:WHY_CHARS], by_user=cause.type == "UserError")
    return Failed(why=str(cause or error)[:WHY_CHARS])
