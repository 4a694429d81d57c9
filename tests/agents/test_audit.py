"""What an audit tells of a planner that was closed: its handoff, and all that was used up by it and below it."""

from temporalio.testing import ActivityEnvironment

from activities.handoffs import Handoffs
from headway.agents.handoff_store import HandoffStore
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.messages import DescribeChildren
from headway.domain.planner_turn import ChildKind
from headway.domain.results import Spawn, SpawnedChild
from headway.domain.state.budget import Amount
from headway.domain.task import TaskSpec
from tests.agents.stage import ROOT, Stage
from tests.support.events import answer, reply, started

SUB = ChildKey("1.0-0a0a0a0a")


class Terminated:
    """A service whose workflows were terminated, but for those that are open; what those were granted."""

    async def closed_as(self, agent: AgentId) -> str | None:
        return None if agent in self.open_agents else "terminated"

    def __init__(self, **open_agents: Amount | None) -> None:
        self.open_agents = open_agents

    async def held(self, agent: AgentId) -> Amount | None:
        return self.open_agents[agent]

    async def attributes(self) -> tuple[str, ...]:
        return ()


def paid(stage: Stage, agent: AgentId, *tokens: int, began: int = 0) -> None:
    """An agent's log: attempts that began, and model calls that were answered."""
    with stage.store.open(agent, role="worker" if began else "planner") as log:
        for attempt in range(began):
            log.append(started(attempt + 1, "A task"))
        for each in tokens:
            log.append(reply(tokens=each))


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
    handoffs = Handoffs(HandoffStore(stage.store, lambda _: stage.hub), Terminated())
    order = DescribeChildren(context=stage.context, me=ROOT, planners=(SUB,))
    environment = ActivityEnvironment()
    (notice,) = await environment.run(handoffs.describe_children, order)
    assert isinstance(notice, HandoffNotice)
    assert (notice.child, notice.status) == (SUB, HandoffStatus.FAILED)
    assert notice.spent == Amount(tokens=1_313, tasks=2, unpriced=1_313)
    assert await environment.run(handoffs.describe_children, order) == [notice], "the stored one says the same"


def asks_for(stage: Stage, planner: AgentId, *children: tuple[ChildKey, str, str]) -> None:
    """A planner's log that asks for these children: their key, kind and title."""
    with stage.store.open(planner, role="planner") as log:
        spawned = [SpawnedChild(key=key, kind=ChildKind(kind), title=title) for key, kind, title in children]
        items = [TaskSpec(title=title, intent="Do it.") for _, _, title in children]
        log.append(answer("spawn_tasks", result=Spawn(spawned=tuple(spawned), items=tuple(items))))


async def test_what_works_on_below_a_closed_planner_is_found_at_any_depth_and_left_out_of_its_bill(
    stage: Stage,
) -> None:
    first, second, third = (ChildKey(f"1.{n}-00000000") for n in range(3))
    sub = child_id(ROOT, SUB)
    lower, open_planner, below_lower = (
        child_id(sub, first),
        child_id(sub, second),
        child_id(child_id(sub, first), first),
    )
    asks_for(stage, sub, (first, "p", "lower"), (second, "p", "open"), (third, "t", "done"))
    asks_for(stage, lower, (first, "t", "works"), (second, "t", "known"))
    paid(stage, child_id(sub, third), 1, began=1)
    paid(stage, open_planner, 10)
    paid(stage, child_id(open_planner, first), 100, began=1)
    paid(stage, below_lower, 1_000, began=1)
    paid(stage, child_id(lower, second), 10_000, began=1)
    paid(stage, lower, 100_000)
    service = Terminated(**{open_planner: Amount(tokens=7_000), below_lower: None})
    handoffs = Handoffs(HandoffStore(stage.store, lambda _: stage.hub), service)
    known = (ChildKey(f"{SUB}/{first}/{second}"),)
    order = DescribeChildren(context=stage.context, me=ROOT, planners=(SUB,), known=known)
    [found] = await ActivityEnvironment().run(handoffs.describe_children, order)
    assert [(each.key, each.kind, each.title, each.held) for each in found.orphans] == [
        (f"{SUB}/{first}/{first}", "t", "works", None),
        (f"{SUB}/{second}", "p", "open", Amount(tokens=7_000)),
    ]
    assert (found.spent.tokens, found.spent.tasks, found.more) == (100_001, 1, False)
    assert "2 agents below it work on" in stage.handoff(found.notice.ref(ROOT)).report.summary
