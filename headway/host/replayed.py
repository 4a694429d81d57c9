"""Result of running workflow code over a recorded history."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from headway.host.history import has_decided, size_of, title_of, type_of

SAID = re.compile(r'message: "((?:[^"\\]++|\\.)*+)"')
CODE = re.compile(r"^\[TMPRL\d+\]\s*|^Nondeterminism error:\s*")
EVENT = re.compile(r":?\s{0,4}+HistoryEvent\(id: (\d+), \w+\)")


@dataclass(frozen=True)
class Replayed:
    """One workflow run.

    Attributes:
        bytes: Of its history.
        mismatch: The place where the code decides differently from its history, in words; empty without one.
    """

    workflow: str
    run_id: str
    kind: str
    events: int
    bytes: int
    seconds: float
    mismatch: str


async def replay_each(replayer: Replayer, histories: AsyncIterator[WorkflowHistory]) -> AsyncIterator[Replayed]:
    """Replay one after the other. A mismatch is a result and never an exception."""
    started = time.perf_counter()
    undecided: list[WorkflowHistory] = []

    async def decided() -> AsyncIterator[WorkflowHistory]:
        nonlocal started
        async for history in histories:
            if has_decided(history):
                started = time.perf_counter()
                yield history
            else:
                # No code of any version has run for it: there is nothing to compare, and a replay would never end.
                undecided.append(history)

    async with replayer.workflow_replay_iterator(decided()) as results:
        async for result in results:
            failure = result.replay_failure
            mismatch = "" if failure is None else describe(str(failure), result.history)
            yield _replayed(result.history, time.perf_counter() - started, mismatch)
    for history in undecided:
        yield _replayed(history, 0.0, "")


def _replayed(history: WorkflowHistory, seconds: float, mismatch: str) -> Replayed:
    return Replayed(
        workflow=history.workflow_id,
        run_id=history.run_id,
        kind=type_of(history),
        events=len(history.events),
        bytes=size_of(history),
        seconds=seconds,
        mismatch=mismatch,
    )


def describe(failure: str, history: WorkflowHistory) -> str:
    """A mismatch as one line for the user: the event, and the SDK's words."""
    said = SAID.search(failure)
    text = said[1].replace('\\"', '"').replace("\\n", " ") if said else failure
    before = None
    while before != text:
        before, text = text, CODE.sub("", text).strip()
    found = EVENT.search(text)
    text = " ".join(EVENT.sub("", text).split())
    if found is None:
        return text
    number = int(found[1])
    event = next((event for event in history.events if event.event_id == number), None)
    where = f"event {number}" + (f" ({title_of(event)})" if event is not None else "")
    return f"{where}: the code of now does something else there: {text}"
