"""What an audit tells of a planner that was closed: its handoff, and all that was used up by it and below it."""

from temporalio.testing import ActivityEnvironment

from activities.handoffs import Handoffs
from headway.agent.handoffs import HandoffDesk
from headway.domain.budget import Amount
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.work import DescribeChildren
from tests.agent.stage import ROOT, Stage

SUB = ChildKey("1.0-0a0a0a0a")


class Terminated:
    """A service whose workflows were all terminated."""

    async def closed_as(self, agent: AgentId) -> str | None:
        return "terminated"

    async def attributes(self) -> tuple[str, ...]:
        return ()


def paid(stage: Stage, agent: AgentId, *tokens: int, began: int = 0) -> None:
    """An agent's log: attempts that began, and model calls that were answered."""
    with stage.store.open(agent, role="worker" if began else "planner") as log:
        for attempt in range(began):
            log.append("agent.start", {"attempt": attempt + 1, "title": "A task"})
        for each in tokens:
            log.append("llm.response", {"tokens": each})


async def test_a_closed_planner_is_told_with_all_that_was_used_up_below_it(stage: Stage) -> None:
    sub = child_id(ROOT, SUB)
    lower = child_id(sub, ChildKey("1.1-00000000"))
    paid(stage, sub, 1, 2)
    paid(stage, lower, 10)
    paid(stage, child_id(sub, ChildKey("1.0-00000000")), 100, 200, began=2)
    paid(stage, child_id(lower, ChildKey("1.0-00000000")), 1_000, began=1)
    paid(stage, child_id(lower, ChildKey("1.1-00000000")))
    paid(stage, AgentId(f"{sub}0"), 10_000, began=1)
    paid(stage, ROOT, 100_000)
    handoffs = Handoffs(HandoffDesk(stage.store, lambda _: stage.hub), Terminated())
    order = DescribeChildren(context=stage.context, me=ROOT, planners=(SUB,))
    environment = ActivityEnvironment()
    (notice,) = await environment.run(handoffs.describe_children, order)
    assert isinstance(notice, HandoffNotice)
    assert (notice.child, notice.status) == (SUB, HandoffStatus.FAILED)
    assert notice.spent == Amount(tokens=1_313, tasks=2, unpriced=1_313)
    assert await environment.run(handoffs.describe_children, order) == [notice], "the stored one says the same"
