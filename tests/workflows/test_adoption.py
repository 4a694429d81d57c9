"""What is below a closed planner goes on: the nearest workflow above adopts it, and orders reach it."""

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from activities.control import ControlWatch
from activities.heartbeat import heartbeat
from activities.temporal_service import TemporalService
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, Spawned, TurnOutcome
from headway.domain.progress import Progress
from headway.domain.state.budget import Amount
from headway.runs.turn_history import find_turn, go_back
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


class Watched(Script):
    """Workers that heed the control record as real ones do; each works until it is released."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(client, name)
        self.watch = ControlWatch(TemporalService(client), every_s=0.3)
        self.release = asyncio.Event()
        self.context_update = {"audit_s": 600}
        self.plan = self.levels

    async def levels(self, order: PlanTurn) -> TurnOutcome:
        """A sub-planner with a task, beside a task."""
        if order.turn > 1:
            return finish(order) if order.depth > 1 or not order.inbox else outcome(order, Decision.WAIT)
        if order.depth > 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "below"))
        return outcome(order, Decision.WAIT, spawned=spawn(order, "lower", kind=ChildKind.PLANNER))

    @activity.defn(name="plan_turn")
    async def plan_turn(self, order: PlanTurn) -> TurnOutcome:
        take = super().plan_turn
        suspended = TurnOutcome(decision=Decision.SUSPENDED, seq=order.from_seq, own=Amount())
        async with heartbeat() as progress:
            return await self.watch.held_to(order.me, progress, lambda _: take(order), suspended, renewed=order.renewed)

    @activity.defn(name="run_worker")
    async def run_worker(self, order: WorkOrder) -> WorkerDone | WorkerSuspended:
        self.orders.append(order)
        async with self.changed:
            self.changed.notify_all()

        async def work(step: Progress) -> WorkerDone | WorkerSuspended:
            while not self.release.is_set():
                await asyncio.sleep(0.05)
                step("a step")
            return await self.work(order)

        async with heartbeat() as progress:
            held: WorkerDone | WorkerSuspended = WorkerSuspended(why="held")
            result = await self.watch.held_to(order.me, progress, work, held, renewed=order.renewed)
        if isinstance(result, WorkerDone):
            self.used[order.me] = result.spent
            self.handed[order.me] = result.status
        return result

    def parent(self, title: str) -> AgentId:
        """The planner of a task."""
        return AgentId(self.task(title).rpartition("/")[0])

    def task(self, title: str) -> AgentId:
        return next(order.me for order in self.orders if order.title == title)

    async def terminate(self, agent: AgentId) -> None:
        await self.client.get_workflow_handle(agent).terminate("by the operator, in the Web UI")

    async def until_amended(self, count: int, title: str) -> None:
        """Return when so many amendments are in a worker's order."""
        async with asyncio.timeout(40):
            while max(len(order.amendments) for order in self.orders if order.title == title) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.fixture
def watched(client: Client, name: str) -> Watched:
    return Watched(client, name)


def amend(number: int) -> dict[str, str]:
    return {"request": f"a{number}", "text": "Use tabs."}


async def ended(run: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    report: dict[str, Any] = await asyncio.wait_for(run.result(), 60)
    return report


async def test_an_amendment_reaches_a_task_whose_planner_is_closed_before_any_audit(watched: Watched) -> None:
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        await watched.terminate(watched.parent("below"))
        await run.execute_update("amend", amend(1))
        await watched.until_amended(1, "below")
        await asyncio.sleep(3)  # it must work now, and not be asked again and again
        assert len(watched.orders) == 2
        for agent in (watched.name, watched.turns[0].me, watched.task("below")):
            await watched.terminate(AgentId(agent))


async def test_a_worker_that_is_held_for_no_known_reason_is_asked_ever_more_rarely(script: Script) -> None:
    """A record that never comes: whatever holds the activity back, its task must not spin."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "one")) if order.turn == 1 else finish(order)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        # Tasks that the test before left behind ask on the same queue.
        asked = sum(other.me == order.me for other in script.orders)
        return worker_done(order) if asked > 3 else WorkerSuspended(why="held")

    script.plan, script.work = plan, work
    started = asyncio.get_running_loop().time()
    await ended(await script.start())
    assert asyncio.get_running_loop().time() - started >= 12, "2, 4 and 8 seconds, of which timers may take a little"


async def test_a_task_that_a_reset_takes_over_is_told_what_was_ordered_meanwhile(watched: Watched) -> None:
    again, hold = asyncio.Event(), asyncio.Event()
    spawned: list[Spawned] = []

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.GO_ON)
        if order.turn == 2 and not spawned:
            spawned.extend(spawn(order, "two"))
            return outcome(order, Decision.WAIT, spawned=tuple(spawned))
        if order.turn == 2:
            again.set()
            await hold.wait()
            return outcome(order, Decision.WAIT, recovered=tuple(spawned))
        return finish(order)

    watched.plan = plan
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        root = watched.turns[0].me
        turn, _ = await find_turn(watched.client, root, 2)
        assert turn is not None
        await go_back(watched.client, root, turn, "")
        await asyncio.wait_for(again.wait(), 30)
        await run.execute_update("pause", {"request": "p", "target": watched.name})
        await run.execute_update("amend", amend(1))
        await run.execute_update("resume", {"request": "r", "target": watched.name})
        hold.set()
        await watched.until_amended(1, "two")
        watched.release.set()
        assert (await ended(run))["outcome"] == "done"


async def test_a_run_waits_for_a_task_below_a_terminated_sub_planner_and_bills_it(watched: Watched) -> None:
    watched.context_update = {"audit_s": 1}
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        lower = watched.parent("below")
        await watched.terminate(lower)
        async with asyncio.timeout(40):
            while not any(notice.status is HandoffStatus.FAILED for turn in watched.turns for notice in turn.inbox):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "1 agents below it work on" in watched.stored[lower].why
        await run.execute_update("amend", amend(1))
        await watched.until_amended(1, "below")
        await asyncio.sleep(3)  # the root planner has nothing else to wait for: it must not finish
        assert (await run.query("status"))["phase"] == "running"
        watched.release.set()
        report = await ended(run)
        assert report["outcome"] == "done"
        assert report["spent"]["tasks"] == 1
        assert report["spent"]["tokens"] >= 1000
        taken = [notice.child for turn in watched.turns for notice in turn.inbox]
        assert sorted(taken) == sorted({*taken})
        assert any("/" in key for key in taken), "its handoff came to the planner above"


async def test_a_task_below_a_terminated_sub_planner_is_lent_more_by_the_one_above(watched: Watched) -> None:
    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.granted.tokens < 600_000:
            spent = Amount(tokens=order.granted.tokens - 10, tasks=1)
            return WorkerSuspended(why="grant", spent=spent, need=Amount(tokens=1000))
        return worker_done(order, tokens=590_000)

    watched.work = work
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        await watched.terminate(watched.parent("below"))
        watched.release.set()
        report = await ended(run)
        assert report["spent"]["tokens"] >= 590_000
        assert [order.granted.tokens for order in watched.orders if order.title == "below"][-1] >= 600_000


async def test_what_is_below_a_terminated_root_planner_goes_on_beside_the_next_one(watched: Watched) -> None:
    watched.context_update = {"audit_s": 1}
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        root, lower = watched.turns[0].me, watched.parent("below")
        await watched.terminate(root)
        await asyncio.wait_for(watched.until_phase(run, "needs_attention"), 40)
        await run.execute_update("amend", amend(1))
        await watched.until_amended(1, "below")
        await run.execute_update("resume", {"request": "r", "target": watched.name})
        await watched.until_asked(3)
        watched.release.set()
        report = await ended(run)
        assert report["outcome"] == "done"
        assert report["spent"]["tasks"] == 2
        assert watched.stored[lower].status is HandoffStatus.DONE
        ids = f"WorkflowId STARTS_WITH '{watched.name}/' AND ExecutionStatus = 'Running'"
        assert not (await watched.client.count_workflows(ids)).count, "the run ended after all of them"


async def test_a_cancelled_run_ends_what_it_adopted(watched: Watched) -> None:
    watched.context_update = {"audit_s": 1}
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        await watched.terminate(watched.turns[0].me)
        await asyncio.wait_for(watched.until_phase(run, "needs_attention"), 40)
        await run.cancel()
        with pytest.raises(WorkflowFailureError):
            await ended(run)
        task = watched.client.get_workflow_handle(watched.task("below"))
        async with asyncio.timeout(30):
            while (await task.describe()).status is WorkflowExecutionStatus.RUNNING:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert [end.status for end in watched.ended] == [HandoffStatus.CANCELLED]


async def test_what_is_below_a_closed_run_ends(watched: Watched) -> None:
    watched.context_update = {"audit_s": 1}
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        root = watched.turns[0].me
        await run.terminate("by the operator")
        await watched.terminate(root)
        lower = watched.parent("below")
        with contextlib.suppress(WorkflowFailureError):  # it hears of it by an audit, or a turn of it is cancelled
            await asyncio.wait_for(watched.client.get_workflow_handle(lower).result(), 60)
        stored = watched.stored[lower]
        assert stored.why == "the run is closed" or stored.status is HandoffStatus.CANCELLED
        assert all(order.turn == 1 for order in watched.turns)


async def test_a_task_ends_whose_run_and_planners_were_all_terminated(watched: Watched) -> None:
    """A terminate tells no workflow below. It must not work on until it has used up what it was granted."""
    async with watched.working():
        run = await watched.start()
        await watched.until_asked(1)
        lower = watched.parent("below")
        for agent in (AgentId(watched.name), watched.turns[0].me, lower):
            await watched.terminate(agent)
        task = watched.client.get_workflow_handle(watched.task("below"))
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(task.result(), 30)
        assert [end.status for end in watched.ended] == [HandoffStatus.CANCELLED]
        assert run.id == watched.name
