"""`plan_turn`: one planning turn, from its facts to its decisions."""

from typing import Protocol

from temporalio import activity

from activities.control import ControlWatch
from activities.heartbeat import as_application_error, heartbeat
from activities.server_time import server_time
from headway.domain.errors import Parked
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.progress import Progress
from headway.domain.state.budget import Amount


class PlannerAgent(Protocol):
    """The loop of a planner. It resumes a turn from the agent log: a paid answer is never asked for again."""

    async def turn(self, order: PlanTurn, progress: Progress) -> TurnOutcome: ...


class Planning:
    """The activity that thinks. The conversation stays in the agent log; history sees refs, ids and counts."""

    def __init__(self, agent: PlannerAgent, control: ControlWatch) -> None:
        self._agent = agent
        self._control = control

    @activity.defn
    @as_application_error
    async def plan_turn(self, order: PlanTurn) -> TurnOutcome:
        """Explore read-only at one pinned trunk commit and return the decisions."""
        async with heartbeat() as progress:
            suspended = TurnOutcome(decision=Decision.SUSPENDED, seq=order.from_seq, own=Amount())
            try:
                return await self._control.held_to(
                    order.me, progress, lambda step: self._agent.turn(order, step), suspended, renewed=order.renewed
                )
            except Parked as parked:
                return suspended.model_copy(update={"until": server_time() + parked.delay_s})
