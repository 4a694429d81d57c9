"""A planner's life on the real server: budgets, retries, crowds, continue-as-new."""

import asyncio
from collections import Counter

import pytest
from temporalio.client import WorkflowHistory

from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.domain.state.budget import Amount
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


def crowd(count: int) -> list[str]:
    return [f"task {index}" for index in range(count)]


async def test_a_hundred_tasks_in_one_spawn_all_hand_off_once(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *crowd(100)))
        return finish(order)

    script.plan = plan
    report = await (await script.start()).result()
    assert report["outcome"] == "done"
    assert report["spent"]["tasks"] == 100
    taken = Counter(notice.child for turn in script.turns for notice in turn.inbox)
    assert len(taken) == 100
    assert set(taken.values()) == {1}


async def test_a_worker_that_fails_is_tried_again_as_often_as_the_limits_say(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "hard")) if order.turn == 1 else finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        return worker_done(order, HandoffStatus.FAILED, retry=True)

    script.plan, script.work = plan, work
    script.context_update = {"attempts": 3}
    await (await script.start()).result()
    assert [order.attempt for order in script.orders] == [1, 2, 3]
    taken = [notice.status for turn in script.turns for notice in turn.inbox]
    assert taken == [HandoffStatus.FAILED]


async def test_a_worker_gets_its_next_slice_when_it_asks(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "long")) if order.turn == 1 else finish(order)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.granted.tokens < 600_000:
            return WorkerSuspended(
                why="grant", spent=Amount(tokens=order.granted.tokens - 10, tasks=1), need=Amount(tokens=1000)
            )
        return worker_done(order, tokens=590_000)

    script.plan, script.work = plan, work
    report = await (await script.start()).result()
    assert [order.granted.tokens for order in script.orders] == [150_000, 350_000, 550_000, 750_000]
    assert report["spent"]["tokens"] >= 590_000


async def test_when_the_budget_is_gone_the_worker_is_told_so_and_hands_off(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "a", "b", "c", "d", "e", "f"))
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.more:
            return WorkerSuspended(
                why="grant", spent=Amount(tokens=order.granted.tokens, tasks=1), need=Amount(tokens=1000)
            )
        return worker_done(order, HandoffStatus.PARTIAL, tokens=order.granted.tokens)

    script.plan, script.work = plan, work
    script.budget = Amount(tokens=1_000_000, tasks=1000)
    script.context_update = script.context_update | {"hold_s": 1.0}
    report = await asyncio.wait_for((await script.start()).result(), 60)
    assert report["spent"]["tokens"] <= 1_000_000
    statuses = Counter(notice.status for turn in script.turns for notice in turn.inbox)
    assert sum(statuses.values()) == 6, "each task ends in one handoff, started or not"


async def test_tasks_that_find_no_slice_wait_and_start_when_others_give_back(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *crowd(12)))
        return finish(order)

    script.plan = plan
    script.budget = Amount(tokens=1_000_000, tasks=1000)
    script.context_update = script.context_update | {"hold_s": 1.0}
    report = await asyncio.wait_for((await script.start()).result(), 60)
    assert report["spent"]["tasks"] == 12


async def test_a_planner_that_waits_with_nothing_outstanding_is_finished_the_third_time(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT)

    script.plan = plan
    report = await asyncio.wait_for((await script.start()).result(), 60)
    assert report["outcome"] == "partial"
    assert [turn.nudge for turn in script.turns] == [False, True, True]


async def test_a_planner_that_gives_up_gets_three_fresh_epochs_and_then_fails(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.GAVE_UP, why="no usable reply")

    script.plan = plan
    run = await script.start()
    await script.until_phase(run, "needs_attention")
    assert [turn.fresh for turn in script.turns] == [False, True, True, True]
    await run.terminate()


async def test_finish_with_open_children_rests_and_every_later_handoff_wakes_the_planner(script: Script) -> None:
    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return finish(order).model_copy(update={"spawned": spawn(order, "late")})
        if order.turn == 2:
            assert len(order.inbox) == 1
            return outcome(order, Decision.WAIT, spawned=spawn(order, "one more"))
        return finish(order)

    script.plan = plan
    report = await asyncio.wait_for((await script.start()).result(), 60)
    assert report["outcome"] == "done"
    assert report["spent"]["tasks"] == 2


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.long)])
async def test_handoffs_wait_while_a_turn_is_long_and_come_a_hundred_at_a_time(
    cached_script: Script, rounds: int
) -> None:
    long_turn = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone:
        await long_turn.wait()
        return worker_done(order)

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn <= rounds:
            return outcome(order, Decision.GO_ON, spawned=spawn(order, *crowd(100)))
        if order.turn == rounds + 1:
            long_turn.set()
            await cached_script.until_told(100 * rounds)
        return outcome(order, Decision.WAIT) if order.inbox else finish(order)

    script = cached_script
    script.plan, script.work = plan, work
    script.context_update = {"open_tasks": 1000, "task_tokens": 10_000}
    report = await asyncio.wait_for((await script.start()).result(), 110)
    assert report["outcome"] == "done"
    taken = Counter(notice.child for turn in script.turns for notice in turn.inbox)
    assert len(taken) == 100 * rounds
    assert set(taken.values()) == {1}
    assert [len(turn.inbox) for turn in script.turns if turn.inbox] == [100] * rounds


async def test_the_root_planners_history_replays(script: Script) -> None:
    from temporalio.contrib.pydantic import pydantic_data_converter
    from temporalio.worker import Replayer

    from workflows.planner import Planner

    async def plan(order: PlanTurn) -> TurnOutcome:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "one", "two")) if order.turn == 1 else finish(order)

    script.plan = plan
    await (await script.start()).result()
    root = script.client.get_workflow_handle(script.turns[0].me)
    history: WorkflowHistory = await root.fetch_history()
    await Replayer(workflows=[Planner], data_converter=pydantic_data_converter).replay_workflow(history)
