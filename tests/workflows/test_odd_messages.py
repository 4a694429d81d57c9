"""Inputs and signals that are none, as the stock CLI and other clients send them: no workflow stands still for one."""

import asyncio
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from headway.domain.ids import AgentId
from headway.domain.messages import WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.planner_turn import ChildKind, Decision, PlanTurn, TurnOutcome
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done
from workflows.replay import WORKFLOWS, replayer


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    """A payload as it is."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


UNREADABLE = {
    "half a surrogate pair": raw(b'{"repo": "/r", "instructions": "\\ud83d"}'),
    "a number beyond any": raw(b'{"repo": "/r", "instructions": ' + b"9" * 5000 + b"}"),
    "too deep": raw(b"[" * 3000 + b"]" * 3000),
    "no text": raw(b"\xff\xfe"),
    "cut off": raw(b'{"repo": '),
    "nothing": raw(b""),
    "another encoding": raw(b"{}", b"json/protobuf"),
    "an encoding that is not known": raw(b"{}", b"binary/encrypted"),
}


@pytest.mark.parametrize("given", UNREADABLE.values(), ids=list(UNREADABLE))
async def test_an_input_that_cannot_be_read_fails_the_run_at_once(script: Script, given: RawValue) -> None:
    run = await script.start_with(given)
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(run.result(), 30)
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.message.startswith("input: cannot be read: ")
    assert "Failed decoding" not in cause.message
    await replayer().replay_workflow(await run.fetch_history())


ODD: tuple[list[Any], ...] = (
    [],
    [{}, {}],
    [raw(b'{"a": ')],
    [raw(b"\xff"), {}],
    [7],
    [None],
    [raw(b"{}", b"binary/plain")],
    [raw(b"{}", b"unknown")],
    [{"request": 1, "child": [], "total": "much", "key": None}],
)


def signals(kind: type) -> list[str]:
    found = workflow._Definition.must_from_class(kind).signals
    return [name for name in found if name is not None]


async def test_signals_that_are_none_are_dropped(script: Script) -> None:
    """Without an input, with two, and with one that cannot be read: at a run, a sub-planner, and a task."""
    release = asyncio.Event()

    async def plan(turn: PlanTurn) -> TurnOutcome:
        if turn.depth == 1 and turn.turn == 1:
            return outcome(turn, Decision.WAIT, spawned=spawn(turn, "below", kind=ChildKind.PLANNER))
        if turn.turn == 1:
            return outcome(turn, Decision.WAIT, spawned=spawn(turn, "one"))
        return finish(turn)

    async def work(order: WorkOrder) -> WorkerDone | WorkerSuspended:
        await release.wait()
        return worker_done(order)

    script.plan, script.work = plan, work
    run = await script.start()
    await script.until_asked(1)
    task = AgentId(script.orders[0].me)
    ids = (script.name, task.rpartition("/")[0], task)
    for kind, agent in zip(WORKFLOWS, ids, strict=True):
        handle = script.client.get_workflow_handle(agent)
        assert signals(kind)
        for name in signals(kind):
            for args in ODD:
                await handle.signal(name, args=args)
        assert (await handle.describe()).status is not None
    for args in ODD:
        with pytest.raises(WorkflowUpdateFailedError):
            await run.execute_update("pause", args=args)
    release.set()
    report: dict[str, Any] = await asyncio.wait_for(run.result(), 60)
    assert report["outcome"] == "done"
    for agent in ids:
        await replayer().replay_workflow(await script.client.get_workflow_handle(agent).fetch_history())
