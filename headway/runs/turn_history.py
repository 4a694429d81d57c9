"""The turns of a planner as its histories tell them, and going back to one."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar, cast

from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.ids import AgentId
from headway.domain.planner_turn import PlanTurn, TurnOutcome

T = TypeVar("T")

ACTIVITY = "plan_turn"


@dataclass(frozen=True)
class PastTurn:
    """A turn that a planner asked for.

    Attributes:
        run_id: The execution whose history holds it.
        event_id: The end of the workflow task that asked for it; a reset to there asks anew.
        outcome: The decisions; None while it runs, and when it failed.
    """

    turn: int
    run_id: str
    event_id: int
    at: datetime
    outcome: TurnOutcome | None = None


@dataclass
class _Generation:
    """One execution of a planner: its turns by number, each as it was asked for first, and the execution's start."""

    turns: dict[int, PastTurn] = field(default_factory=dict)
    earlier: str = ""


async def find_turn(client: Client, planner: AgentId, wanted: int | None) -> tuple[PastTurn | None, list[int]]:
    """A turn of a planner, by default its last one, and the numbers of all turns that were looked at.

    Histories are read from the newest execution backwards, as far as is needed and as the service has kept them.
    """
    seen: dict[int, None] = {}
    async for generation in _generations(client, planner):
        turns = generation.turns
        seen.update(dict.fromkeys(sorted(turns)))
        if wanted is None and turns:
            return turns[max(turns)], sorted(seen)
        if wanted is not None and wanted in turns:
            return turns[wanted], sorted(seen)
    return None, sorted(seen)


async def go_back(client: Client, planner: AgentId, turn: PastTurn, why: str) -> str:
    """Reset the planner to before it asked for `turn`; later signals are delivered again. Returns the new run id."""
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=planner, run_id=turn.run_id),
            reason=why or f"headway reset to turn {turn.turn}",
            request_id=str(uuid.uuid4()),
            workflow_task_finish_event_id=turn.event_id,
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE,
        )
    )
    return answer.run_id


async def _generations(client: Client, planner: AgentId) -> AsyncIterator[_Generation]:
    """The executions of a planner, the newest first."""
    run_id: str | None = None
    while True:
        try:
            generation = await _read(client, planner, run_id)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return  # older than the service keeps
            raise
        yield generation
        if not generation.earlier:
            return
        run_id = generation.earlier


async def _read(client: Client, planner: AgentId, run_id: str | None) -> _Generation:
    handle = client.get_workflow_handle(planner, run_id=run_id)
    if run_id is None:
        run_id = (await handle.describe()).run_id
        handle = client.get_workflow_handle(planner, run_id=run_id)
    found, asked = _Generation(), dict[int, PastTurn]()
    async for event in handle.fetch_history_events():
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                found.earlier = event.workflow_execution_started_event_attributes.continued_execution_run_id
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                turn = await _asked(client, run_id or "", event)
                if turn is not None:
                    asked[event.event_id] = turn
                    found.turns.setdefault(turn.turn, turn)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                if (answered := asked.get(done.scheduled_event_id)) is not None:
                    first = found.turns[answered.turn]
                    outcome = await _decode(client, done.result, TurnOutcome)
                    found.turns[answered.turn] = PastTurn(first.turn, first.run_id, first.event_id, first.at, outcome)
            case _:
                pass
    return found


async def _asked(client: Client, run_id: str, event: HistoryEvent) -> PastTurn | None:
    scheduled = event.activity_task_scheduled_event_attributes
    if scheduled.activity_type.name != ACTIVITY:
        return None
    order = await _decode(client, scheduled.input, PlanTurn)
    at = event.event_time.ToDatetime(tzinfo=UTC)
    return PastTurn(order.turn, run_id, scheduled.workflow_task_completed_event_id, at)


async def _decode(client: Client, payloads: Payloads, kind: type[T]) -> T:
    (value,) = await client.data_converter.decode(payloads.payloads, [kind])
    return cast("T", value)
