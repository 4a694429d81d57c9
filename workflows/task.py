"""The workflow `Task`: a thin child around one long activity, so that a worker outlives its planner's history.

Its rules are pure and stand in `headway.domain.decisions.task`.
"""

from temporalio import workflow

from headway.domain.decisions.task import decide
from headway.domain.messages import Grant, TaskOrder, TaskResult
from headway.domain.state.budget import Amount, Ceiling
from headway.domain.state.control import Control
from headway.domain.state.task import TaskState
from workflows import options
from workflows.reconcile import Reconciler
from workflows.world import TemporalWorld, run_to_the_end


@workflow.defn
class Task:
    """One task: its worker runs until there is a handoff, which is stored first and then told, once."""

    @workflow.init
    def __init__(self, order: TaskOrder) -> None:
        self.state = TaskState.first(order)
        caller = options.caller_of(order.me, order.context.heartbeat_s)
        self.loop = Reconciler(self.state, decide, TemporalWorld(lambda: order.context, lambda: caller))

    @workflow.run
    async def run(self, order: TaskOrder) -> TaskResult:
        """Work, then report to the planner's workflow id."""
        del order
        result: TaskResult = await run_to_the_end(self.loop)
        return result

    @workflow.signal
    def grant(self, grant: Grant) -> None:
        """More may be used."""
        self.loop.apply(grant)

    @workflow.signal
    def control(self, control: Control) -> None:
        """The user's control record."""
        self.loop.apply(control)

    @workflow.query
    def held(self) -> Amount:
        """All that the task was granted. A workflow that adopts it lends it the same."""
        return self.state.grant.total

    @workflow.query
    def status(self) -> dict[str, object]:
        """The task's title, attempt and grant."""
        state = self.state
        return {
            "title": state.order.title,
            "attempt": state.attempt,
            "granted": Ceiling.of(state.grant.total).model_dump(),
            "parked_until": state.parked_until,
        }

    def details(self) -> str:
        """The current details."""
        return self.state.details()
