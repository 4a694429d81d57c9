"""The workflow `Planner`: long-lived, never codes, sleeps until something comes in.

Its rules are pure and stand in `headway.domain.decisions.planner`.
"""

from temporalio import workflow

from headway.domain.decisions.planner import decide
from headway.domain.details import planner_details
from headway.domain.figures import RunFigures
from headway.domain.handoff import HandoffNotice
from headway.domain.messages import Ask, CallBack, Grant, StoredHandoff
from headway.domain.planner_tree import planner_node
from headway.domain.state.budget import Amount
from headway.domain.state.control import Control
from headway.domain.state.planner import PlannerState
from headway.domain.tree import TreeNode
from workflows import execution, options
from workflows.reconcile import Reconciler
from workflows.world import TemporalWorld, run_to_the_end


@workflow.defn
class Planner:
    """Owns a scope: asks for turns, carries out their decisions, takes handoffs, hands up with nothing outstanding."""

    @workflow.init
    def __init__(self, state: PlannerState) -> None:
        self.state = state
        state.present.run_id = workflow.info().run_id
        caller = options.Caller(planner=state.me, heartbeat_s=state.context.heartbeat_s)
        self.loop = Reconciler(state, decide, TemporalWorld(lambda: state.context, lambda: caller))

    @workflow.run
    async def run(self, state: PlannerState) -> StoredHandoff:
        """Plan until the last word is `finish` and nothing is outstanding; store the handoff, then tell it."""
        del state
        stored: StoredHandoff = await run_to_the_end(self.loop)
        return stored

    @workflow.signal
    def handoff(self, notice: HandoffNotice) -> None:
        """A child's handoff is stored."""
        self.loop.apply(notice)

    @workflow.signal
    def ask(self, ask: Ask) -> None:
        """A child's grant is used up."""
        self.loop.apply(ask)

    @workflow.signal
    def grant(self, grant: Grant) -> None:
        """The parent granted more, or says that there is no more."""
        self.loop.apply(grant)

    @workflow.signal
    def call_back(self, call: CallBack) -> None:
        """The parent is short, and wants the budget that is not needed here."""
        self.loop.apply(call)

    @workflow.signal
    def digest(self, node: TreeNode) -> None:
        """The digest of a sub-planner, for the tree."""
        self.loop.apply(node)

    @workflow.signal
    def control(self, control: Control) -> None:
        """The user's control record."""
        self.loop.apply(control)

    @workflow.query
    def status(self) -> dict[str, object]:
        """State of the planner."""
        return {
            "title": self.state.title,
            "doing": self.state.doing(execution.now()),
            "turn": self.state.turn,
            "tally": self.state.children.tally,
            "notes": list(self.state.present.troubles.values()),
        }

    @workflow.query
    def held(self) -> Amount:
        """All that the planner was granted. A workflow that adopts it lends it the same."""
        return self.state.children.account.granted

    @workflow.query
    def tree(self) -> TreeNode:
        """The planner and the agents below it, as far as digests told."""
        return planner_node(self.state, self.state.doing(execution.now()), self.state.present.below)

    def details(self, figures: RunFigures | None = None) -> str:
        """The current details."""
        troubles = self.state.present.troubles.values()
        return planner_details(self.state, self.state.doing(execution.now()), troubles, figures)
