"""The decisions of planners, turn by turn, as their histories tell them: no log and no service is asked."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from headway.domain.handoff import HandoffNotice
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import MICRO, Amount

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload
    from temporalio.api.history.v1 import HistoryEvent

TURN = "plan_turn"
CONTINUES = "  continues as new"


class Decisions:
    """One planner's decisions, over all runs of its continue-as-new chain; each run is added in its order."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}
        self.lines: list[str] = []

    def add(self, history: WorkflowHistory) -> None:
        """Take in the turns of one workflow run."""
        if self.lines and self.lines[-1] != CONTINUES:
            self.lines.append("  was reset: the next turns are decided again")
        asked: dict[int, HistoryEvent] = {}
        for event in history.events:
            if event.HasField("activity_task_scheduled_event_attributes"):
                if event.activity_task_scheduled_event_attributes.activity_type.name == TURN:
                    asked[event.event_id] = event
            elif event.HasField("activity_task_completed_event_attributes"):
                completed = event.activity_task_completed_event_attributes
                if (scheduled := asked.pop(completed.scheduled_event_id, None)) is not None:
                    arguments = scheduled.activity_task_scheduled_event_attributes.input.payloads
                    order, outcome = _decoded(arguments, PlanTurn), _decoded(completed.result.payloads, TurnOutcome)
                    self._add_turn(event.event_time.ToDatetime(UTC), order, outcome)
            elif event.HasField("workflow_execution_continued_as_new_event_attributes"):
                self.lines.append(CONTINUES)
        for event in asked.values():
            order = _decoded(event.activity_task_scheduled_event_attributes.input.payloads, PlanTurn)
            self.lines.append(f"  turn {order.turn}  has no decision")

    def _add_turn(self, at: datetime, order: PlanTurn, outcome: TurnOutcome) -> None:
        self.lines.append(f"  turn {order.turn}  {at.astimezone():%Y-%m-%d %H:%M:%S}")
        told = [self._handoff(notice) for notice in order.inbox]
        if order.steers:
            self.lines.append(f"    was told {len(order.steers)} message(s) by the user")
        if order.final is not None:
            verdict = order.final.verdict
            shown = f"the check: {verdict.why}" if verdict else "that there is no check"
            self.lines.append(f"    was shown before its finish counts: {shown}")
        self._list("took", told)
        for spawned in (*outcome.spawned, *outcome.recovered):
            self._titles[spawned.key] = spawned.title
        for kind, noun in ((ChildKind.TASK, "task"), (ChildKind.PLANNER, "sub-planner")):
            titles = [f"{spawned.key}  {spawned.title}" for spawned in outcome.spawned if spawned.kind is kind]
            self._list(f"spawned {noun}", titles)
        self._list("took over from before the reset", [f"{s.key}  {s.title}" for s in outcome.recovered])
        self._list("cancelled", [f"{key}  {self._titles.get(key, '')}".rstrip() for key in outcome.cancelled])
        self.lines.append(f"    {_turn_end(outcome)}")

    def _handoff(self, notice: HandoffNotice) -> str:
        title = self._titles.get(notice.child, "")
        return f"{notice.child}  {notice.status}  {title}".rstrip()

    def _list(self, verb: str, entries: Sequence[str]) -> None:
        self.lines += [f"    {verb}  {entry}" for entry in entries]


def _turn_end(outcome: TurnOutcome) -> str:
    match outcome.decision:
        case Decision.WAIT:
            return "waits"
        case Decision.FINISH:
            finish = outcome.finish
            return f"finishes {finish.status}: {' '.join(finish.summary.split())}" if finish else "finishes"
        case Decision.GO_ON:
            return "goes on"
        case Decision.OUT_OF_BUDGET:
            return f"is out of budget: needs {outcome.need.tokens:,} tokens{_dollars(outcome.need)}"
        case Decision.SUSPENDED:
            return "is held back"
        case Decision.RENEWED:
            return "is asked again, with what is in force now"
        case Decision.GAVE_UP:
            return f"gave up: {' '.join(outcome.why.split())}"


def _dollars(need: Amount) -> str:
    return f" and {need.micro_usd / MICRO:,.2f} dollars" if need.micro_usd else ""


def _decoded(payloads: Sequence["Payload"], kind: type[Any]) -> Any:
    return pydantic_data_converter.payload_converter.from_payloads(payloads, [kind])[0]
