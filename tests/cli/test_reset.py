"""`headway reset` on the real server: which turn it finds, across continue-as-new, and what it refuses."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.support.command import headway
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done


@pytest.fixture
async def script(client: Client, home: Path) -> AsyncIterator[Script]:
    (home / "runs" / "tidy-up").mkdir(parents=True)
    script = Script(client, "tidy-up")
    async with script.working():
        yield script


class Rounds:
    """A planner that asks for one task a turn and finishes when it is let; handoffs wake it at once."""

    def __init__(self, script: Script, rounds: int) -> None:
        self.script = script
        self.rounds = rounds
        self.let_go = asyncio.Event()
        self.asked = asyncio.Condition()
        script.plan, script.work = self.plan, self.work

    async def plan(self, order: PlanTurn) -> TurnOutcome:
        async with self.asked:
            self.asked.notify_all()
        if order.turn <= self.rounds:
            return outcome(order, Decision.WAIT, spawned=spawn(order, f"task {order.turn}"))
        await self.let_go.wait()
        return finish(order)

    async def work(self, order: WorkOrder) -> WorkerDone:
        return worker_done(order, HandoffStatus.PARTIAL)

    async def until_turn(self, turn: int, times: int = 1) -> AgentId:
        """Return the planner's id when it was asked for a turn, anew each of so many times."""
        async with self.asked:
            await self.asked.wait_for(lambda: len(self.keys(turn)) >= times)
        return self.script.turns[-1].me

    def keys(self, turn: int) -> list[str]:
        """Under which keys a turn was asked for: one each time it was asked anew."""
        return list(dict.fromkeys(order.key for order in self.script.turns if order.turn == turn))


async def test_the_last_turn_of_the_root_planner_is_taken_anew(home: Path, script: Script) -> None:
    rounds = Rounds(script, 2)
    run = await script.start()
    root = await rounds.until_turn(3)

    shown = await headway(home, "reset", "tidy-up")
    assert "Give --yes" in shown.refusal
    assert f"planner   {root}" in shown.out
    assert "turn      3, asked" in shown.out
    assert "nothing yet: it is still running" in shown.out
    assert len(rounds.keys(3)) == 1

    said = await headway(home, "reset", "tidy-up", "--yes", "--why", "another idea")
    assert said.code == 0, said
    assert "plans anew from turn 3" in said.out
    await rounds.until_turn(3, 2)
    rounds.let_go.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["spent"]["tasks"] == 2
    assert [len(rounds.keys(turn)) for turn in (1, 2, 3)] == [1, 1, 2]


async def test_an_earlier_turn_is_found_across_continue_as_new_and_no_handoff_is_lost(
    home: Path, script: Script
) -> None:
    script.context_update = {"continue_after": 2}
    rounds = Rounds(script, 6)
    run = await script.start()
    root = await rounds.until_turn(7)
    chain = [found async for found in script.client.list_workflows(f"WorkflowId = '{root}'")]
    assert len(chain) >= 3
    rounds.rounds = 2  # the model sees what came in meanwhile and asks for no more

    said = await headway(home, "reset", "tidy-up", "--planner", root, "--turn", "2", "--yes")

    assert said.code == 0, said
    assert "1 asked for: 'task 2'" in said.out
    assert "5 turns, which the planner forgets too" in said.out
    rounds.let_go.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert Counter(order.title for order in script.orders) == {f"task {number}": 1 for number in range(1, 7)}
    assert report["spent"]["tasks"] == 6
    assert len(rounds.keys(1)) == 1
    assert len(rounds.keys(2)) == 2

    message = (await headway(home, "reset", "tidy-up", "--yes")).refusal
    assert "The run 'tidy-up' is closed (completed)" in message
    assert "headway continue tidy-up" in message


async def test_after_one_reset_comes_another(home: Path, script: Script) -> None:
    rounds = Rounds(script, 2)
    run = await script.start()
    await rounds.until_turn(3)
    for times, turn in enumerate(("2", "1", "3"), 2):
        said = await headway(home, "reset", "tidy-up", "--turn", turn, "--yes")
        assert said.code == 0, said
        await rounds.until_turn(3, times)
    rounds.let_go.set()
    report = await asyncio.wait_for(run.result(), 60)
    assert report["spent"]["tasks"] == 2


async def test_what_is_not_there_is_told_with_what_is(home: Path, script: Script) -> None:
    rounds = Rounds(script, 1)
    run = await script.start()
    root = await rounds.until_turn(2)

    assert "There is no run named 'nobody'" in (await headway(home, "reset", "nobody")).refusal
    unknown = (await headway(home, "reset", "tidy-up", "--planner", "root-x")).refusal
    assert "has no agent 'root-x'" in unknown
    elsewhere = (await headway(home, "reset", "tidy-up", "--planner", "elsewhere/root")).refusal
    assert "has no agent 'elsewhere/root'" in elsewhere
    task = script.orders[0].me
    no_planner = (await headway(home, "reset", "tidy-up", "--planner", task)).refusal
    assert f"'{task}' is not a planner of run 'tidy-up'.\nAt work are:\n  root\n" in no_planner
    no_turn = (await headway(home, "reset", "tidy-up", "--turn", "9")).refusal
    assert f"{root} has no turn 9" in no_turn
    assert "It has the turns 1 to 2." in no_turn
    rounds.let_go.set()
    await asyncio.wait_for(run.result(), 60)


async def test_a_sub_planner_that_handed_up_is_refused_and_the_one_above_is_named(home: Path, script: Script) -> None:
    again, let_go = asyncio.Event(), asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.depth == 2:
            return finish(order, HandoffStatus.PARTIAL)
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "below", kind=ChildKind.PLANNER))
        again.set()
        await let_go.wait()
        return finish(order)

    script.plan = plan
    run = await script.start()
    await again.wait()
    below = next(order.me for order in script.turns if order.depth == 2)

    message = (await headway(home, "reset", "tidy-up", "--planner", below, "--yes")).refusal

    assert "has handed off already" in message
    assert "headway reset tidy-up --planner root" in message
    let_go.set()
    await asyncio.wait_for(run.result(), 60)


async def test_a_run_that_needs_attention_goes_on_when_its_root_planner_is_reset(home: Path, script: Script) -> None:
    failing = {"now": True}

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "one"))
        if failing["now"]:
            return outcome(order, Decision.GAVE_UP, why="it repeats itself")
        return finish(order)

    async def work(order: WorkOrder) -> WorkerDone:
        return worker_done(order, HandoffStatus.PARTIAL)

    script.plan, script.work = plan, work
    run = await script.start()
    while (await run.query("status"))["phase"] != "needs_attention":  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.1)
    failing["now"] = False

    said = await headway(home, "reset", "tidy-up", "--turn", "2", "--yes")

    assert said.code == 0, said
    report = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    assert report["spent"]["tasks"] == 1
