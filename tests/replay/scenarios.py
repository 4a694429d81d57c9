"""What the recorded histories are about: one function per story, played on a real server with scripted activities.

Each returns which workflows of its run are kept, and under which name. Names and ids are always the same, so that a
history recorded again differs from the old one only where the workflows do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, Incarnation, RunName, root_planner_id
from headway.domain.messages import DescribeChildren, FoundClosed, WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done

Kept = dict[str, str]
"""Workflow ids by the name of their history."""

PREFIX = "replay-"


class Stage(Script):
    """One run with names that never change."""

    def __init__(self, client: Client, story: str) -> None:
        super().__init__(client, PREFIX + story)
        self.closed: list[HandoffNotice] = []
        self.audited = asyncio.Event()
        self.context_update = {"incarnation": Incarnation(f"incarnation of {story}")}

    @property
    def root(self) -> AgentId:
        return root_planner_id(RunName(self.name), self.context_update["incarnation"])

    def task(self, title: str) -> AgentId:
        """The id of the worker with that task."""
        return next(order.me for order in self.orders if order.title == title)

    @activity.defn(name="describe_children")
    async def describe_children(self, order: DescribeChildren) -> list[FoundClosed]:
        self.audited.set()
        asked = {*order.tasks, *order.planners}
        return [FoundClosed(**notice.model_dump()) for notice in self.closed if notice.child in asked]

    async def until_closed(self, run: WorkflowHandle[Any, Any]) -> None:
        """Return when the run is closed, however."""
        try:
            await run.result()
        except WorkflowFailureError:
            return


@dataclass(frozen=True)
class Story:
    """A scenario.

    Attributes:
        suggest: Events after which the server suggests to continue as new; None leaves its default.
    """

    name: str
    play: Callable[[Stage], Awaitable[Kept]] = field(repr=False)
    suggest: int | None = None


STORIES: list[Story] = []


def story(suggest: int | None = None) -> Callable[[Callable[[Stage], Awaitable[Kept]]], Callable[..., Awaitable[Kept]]]:
    """Put a function among the stories, under its own name."""

    def add(play: Callable[[Stage], Awaitable[Kept]]) -> Callable[..., Awaitable[Kept]]:
        STORIES.append(Story(play.__name__.replace("_", "-"), play, suggest))
        return play

    return add


def first_then_finish(*titles: str) -> Callable[[PlanTurn], Awaitable[TurnOutcome]]:
    """Tasks in the first turn, `finish` when they are in."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, *titles))
        return finish(order)

    return plan


def request(stage: Stage, number: int, target: str | None = None) -> dict[str, Any]:
    """A pause or a resume as the command sends it."""
    return {"request": f"r{number}", "target": target or stage.name, "who": "me@here", "why": "lunch"}


@story()
async def plain(stage: Stage) -> Kept:
    """Three tasks, all done, the check passes."""
    stage.plan = first_then_finish("one", "two", "three")
    await (await stage.start()).result()
    return {"run-done": stage.name, "planner-simple": stage.root, "task-done": stage.task("one")}


@story()
async def bad_input(stage: Stage) -> Kept:
    """An input that nobody can run."""
    await stage.until_closed(await stage.start({"lmits": {}}))
    return {"run-bad-input": stage.name}


@story()
async def levels(stage: Stage) -> Kept:
    """A sub-planner with two tasks, beside a task."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn > 1:
            return finish(order) if not order.inbox or order.depth > 1 else outcome(order, Decision.WAIT)
        if order.depth > 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "lexer", "grammar"))
        return outcome(order, Decision.WAIT, spawned=spawn(order, "the parser", kind=ChildKind.PLANNER))

    stage.plan = plan
    await (await stage.start()).result()
    below = next(turn.me for turn in stage.turns if turn.depth > 1)
    return {"planner-with-sub-planner": stage.root, "planner-below-another": below}


@story()
async def cancelled(stage: Stage) -> Kept:
    """A run of two levels is cancelled while its tasks work."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.depth > 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "lexer", "grammar"))
        both = spawn(order, "the parser", kind=ChildKind.PLANNER) + spawn(order, "x", "docs")[1:]
        return outcome(order, Decision.WAIT, spawned=both)

    async def work(order: WorkOrder) -> WorkerDone:
        await asyncio.Event().wait()
        raise AssertionError

    stage.plan, stage.work = plan, work
    run = await stage.start()
    await stage.until_asked(3)
    await run.cancel(reason="enough")
    await stage.until_closed(run)
    below = next(turn.me for turn in stage.turns if turn.depth > 1)
    return {
        "run-cancelled": stage.name,
        "planner-cancelled": stage.root,
        "planner-below-another-cancelled": below,
        "task-cancelled": stage.task("docs"),
    }


@story()
async def needs_attention(stage: Stage) -> Kept:
    """The root's agent gives up, the run waits, its user gives it another root planner."""
    fixed = asyncio.Event()

    async def plan(order: PlanTurn) -> TurnOutcome:
        return finish(order) if fixed.is_set() else outcome(order, Decision.GAVE_UP, why="no usable reply")

    stage.plan = plan
    run = await stage.start()
    await stage.until_phase(run, "needs_attention")
    fixed.set()
    await run.execute_update("resume", request(stage, 1))
    await run.result()
    again = stage.turns[-1].me
    return {"run-needs-attention": stage.name, "planner-gave-up": stage.root, "planner-in-place-of-another": again}


@story()
async def failed_turn(stage: Stage) -> Kept:
    """A bug in the turn: the planner hands up `failed`; the parked run is cancelled."""

    async def plan(order: PlanTurn) -> TurnOutcome:
        raise ApplicationError("a bug of ours", non_retryable=True)

    stage.plan = plan
    run = await stage.start()
    await stage.until_phase(run, "needs_attention")
    await run.cancel()
    await stage.until_closed(run)
    return {"run-cancelled-while-parked": stage.name, "planner-failed-turn": stage.root}


@story()
async def paused(stage: Stage) -> Kept:
    """Paused by update while two tasks work: one hands off, one is suspended; resumed by signal."""
    held = asyncio.Event()

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        if order.title == "suspended" and not held.is_set():
            await held.wait()
            return WorkerSuspended(why="held")
        await held.wait()
        return worker_done(order, HandoffStatus.PARTIAL)

    async def plan(order: PlanTurn) -> TurnOutcome:
        if order.turn == 1:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "suspended", "quick"))
        if order.turn == 2:
            return outcome(order, Decision.WAIT, spawned=spawn(order, "after the pause"))
        return finish(order) if not order.inbox else outcome(order, Decision.GO_ON)

    stage.plan, stage.work = plan, work
    run = await stage.start()
    await stage.until_asked(2)
    await run.execute_update("pause", request(stage, 1))
    held.set()
    await stage.until_handed(1)
    await asyncio.sleep(3)  # longer than a suspended task waits before it looks again
    await run.signal("resume", request(stage, 2))
    await run.result()
    return {"run-paused": stage.name, "planner-paused": stage.root, "task-paused": stage.task("suspended")}
