"""The workflow `Run`: one effort on one repository, from the user's instructions to the final report.

Its rules are pure and stand in `headway.domain.decisions.run`.
"""

import asyncio
from types import FunctionType
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.repository import Repository
from headway.domain.commands import Failed
from headway.domain.decisions.run import CONTINUED, decide
from headway.domain.defaults import HEARTBEAT_S
from headway.domain.details import run_details
from headway.domain.errors import UserError
from headway.domain.figures import Seen
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import Incarnation, RunName, run_name_problem
from headway.domain.messages import Ask
from headway.domain.model_outage import ModelOutage
from headway.domain.order import Order
from headway.domain.orders.catalogue import ORDERS
from headway.domain.run import PreparedRun, PrepareRun, RunReport
from headway.domain.run_status import status
from headway.domain.spec import parse_spec
from headway.domain.state.control import Control
from headway.domain.state.run import RunState, Signalled
from headway.domain.tree import TreeNode
from workflows import children, effects, execution, options
from workflows.reconcile import Reconciler
from workflows.world import TemporalWorld, run_to_the_end


def _takes_orders(run: "type[Run]") -> "type[Run]":
    """Give the workflow an update and a signal for each order of its user, all with the same handlers."""
    for kind in ORDERS:
        update = workflow.update(name=kind.name)(_of(kind, run.give))
        update.validator(_of(kind, run.check))
        setattr(run, f"give_{kind.name}", update)
        setattr(run, f"tell_{kind.name}", workflow.signal(name=kind.name)(_of(kind, run.tell)))
    return run


def _of(kind: type[Order], handler: Any) -> Any:
    """A handler for one kind of order: the SDK reads the kind from the annotation."""
    made = FunctionType(handler.__code__, handler.__globals__, handler.__name__)
    made.__annotations__ = {**handler.__annotations__, "order": kind}
    made.__doc__ = kind.__doc__
    return made


@workflow.defn
@_takes_orders
class Run:
    """Prepares the hub, starts the root planner, waits for its handoff, proves the trunk and reports."""

    @workflow.init
    def __init__(self, *inputs: Any) -> None:
        carried = _carried(inputs)
        self.state = RunState() if carried is None else RunState.model_validate(carried)
        self.loop = Reconciler(self.state, decide, TemporalWorld(lambda: self.state.context, self._caller))

    @workflow.run
    async def run(self, *inputs: Any) -> RunReport:
        """Take the input untyped: with a typed argument, bad JSON would leave the run RUNNING permanently."""
        if self.state.prepared is None:
            prepared = await self._prepare(inputs)
            attributes = children.known_attributes(prepared.context, "run", 0)
            if attributes:
                workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in attributes])
            self.state.open(prepared, execution.now())
        report: RunReport = await run_to_the_end(self.loop)
        return report

    @workflow.signal
    def handoff(self, notice: HandoffNotice) -> None:
        """The root planner's handoff is stored."""
        self.loop.apply(notice)

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """The root planner used up all that the run may use."""
        self.loop.apply(ask)

    @workflow.signal
    def digest(self, node: TreeNode) -> None:
        """The digest of the root planner, for the tree."""
        self.loop.apply(node)

    async def give(self, order: Order) -> str:
        """Carry an order out. Returns the answer."""
        self.loop.apply(order)
        answers = self.state.book.answers
        await workflow.wait_condition(lambda: order.request in answers)
        return answers[order.request]

    def check(self, order: Order) -> None:
        """Refuse an impossible order."""
        order.check(self.state, execution.me())

    def tell(self, order: Order) -> None:
        """Carry an order out, for a client that only signals."""
        self.loop.apply(Signalled(order=order, run=execution.me()))

    @workflow.query
    def control(self) -> Control:
        """The control record, for the processes in which agents work."""
        return self.state.book.control

    @workflow.signal
    def parking(self, parking: ModelOutage) -> None:
        """A model refuses the run's agents, or answers again."""
        self.loop.apply(parking)

    @workflow.query
    def parkings(self) -> tuple[ModelOutage, ...]:
        """The parkings that the run knows, for the processes that report them."""
        return self.state.parkings

    @workflow.query
    def status(self) -> dict[str, object]:
        """State of the run."""
        return status(self.state)

    @workflow.query
    def tree(self) -> TreeNode | None:
        """The tree of agents, as far as digests told."""
        return self.state.tree

    def details(self, seen: Seen | None = None) -> str:
        """The current details."""
        return run_details(self.state, seen)

    async def _prepare(self, inputs: tuple[Any, ...]) -> PreparedRun:
        info, raw = workflow.info(), inputs[0] if inputs else None
        name = RunName(info.workflow_id)
        if problem := run_name_problem(name):
            raise _refused(UserError(f"workflow id {name!r}: {problem}", "Start it again under another --workflow-id."))
        if len(inputs) > 1:
            raise _refused(UserError(f"input: must be one JSON object, got {len(inputs)}", "Give --input once."))
        try:
            parse_spec(raw)
        except UserError as error:
            raise _refused(error) from error
        order = PrepareRun(
            run=name,
            incarnation=Incarnation(info.first_execution_run_id),
            spec=raw if isinstance(raw, dict) else {},
            started_at=info.start_time.timestamp(),
        )
        prepared = await effects.attempt(
            Repository.prepare_run, order, options.housekeeping(self._caller(), "prepare the hub")
        )
        if workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError
        if isinstance(prepared, Failed):
            # Nothing has begun that could be lost: a run that cannot be prepared fails, with one readable message.
            raise _refused(UserError(prepared.why if prepared.by_user else f"the run cannot start: {prepared.why}"))
        return prepared

    def _caller(self) -> options.Caller:
        prepared = self.state.prepared
        heartbeat = prepared.context.heartbeat_s if prepared else HEARTBEAT_S
        return options.Caller(planner=execution.me(), heartbeat_s=heartbeat)


def _carried(inputs: tuple[Any, ...]) -> Any:
    """The state of a run that continued as new."""
    first = inputs[0] if inputs else None
    continued = workflow.info().continued_run_id is not None and isinstance(first, dict)
    return first.get(CONTINUED) if continued and isinstance(first, dict) else None


def _refused(error: UserError) -> ApplicationError:
    return ApplicationError(str(error), type="UserError", non_retryable=True)
