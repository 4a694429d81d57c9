"""Records the histories of `tests/replay/` again: `python -m tests.replay.record [--all] [STORY...]`.

Every story is played on a real server. A recording is replaced when it is not there or no longer replays: one that does
is worth more than a new one, because an earlier version made it. `--all` replaces them all.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

import headway
from headway.domain.decisions.run import CONTINUED
from headway.host.history import type_of
from headway.host.replayed import replay_each
from tests.replay import lasting  # noqa: F401 - its stories put themselves into the list
from tests.replay.recordings import STATES, Plain, keep, kept, kinds
from tests.replay.scenarios import STORIES, Stage, Story
from tests.workflows.conftest import temporal
from workflows.replay import replayer

PLAYS_WITHIN_S = 90
BAD = "DOES NOT REPLAY"


@asynccontextmanager
async def service(suggest: int | None) -> AsyncIterator[Client]:
    """A real server of its own."""
    extra = ["--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"]
    if suggest is not None:
        extra += ["--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={suggest}"]
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal(),
        data_converter=pydantic_data_converter,
        dev_server_log_level="error",
        dev_server_extra_args=extra,
        identity="recorder",
    )
    async with environment:
        yield environment.client


async def play(client: Client, story: Story) -> dict[str, list[WorkflowHistory]]:
    """The histories that a story leaves, by name: one, or all of a chain."""
    stage = Stage(client, story.name)
    async with stage.working(cached=1000, replays=False):
        workflows = await asyncio.wait_for(story.play(stage), PLAYS_WITHIN_S)
        return {name: await _chain(client, workflow) for name, workflow in workflows.items()}


async def _chain(client: Client, workflow: str) -> list[WorkflowHistory]:
    """Every run of a workflow, oldest first. Visibility lags, so it is asked until all that are told of are there."""
    while True:
        runs = [found async for found in client.list_workflows(f"WorkflowId = '{workflow}'")]
        runs.sort(key=lambda found: found.start_time)
        newest = await client.get_workflow_handle(workflow).describe()
        if runs and runs[-1].run_id == newest.run_id:
            return [await client.get_workflow_handle(workflow, run_id=found.run_id).fetch_history() for found in runs]
        await asyncio.sleep(0.1)


async def mismatch(history: WorkflowHistory) -> str:
    """Where the code of now differs from a history; empty when it does not."""

    async def one() -> AsyncIterator[WorkflowHistory]:
        yield history

    return "".join([result.mismatch async for result in replay_each(replayer(), one())])


async def _write(found: dict[str, list[WorkflowHistory]], *, everything: bool) -> AsyncIterator[str]:
    plain = Plain()
    for name, chain in found.items():
        texts = [plain.text(history) for history in chain]
        why = await _reason(kept(name), chain)
        events = sum(len(history.events) for history in chain)
        yield f"{name}  {events} events  {why}"
        if why.startswith("same") and not everything:
            continue
        await asyncio.to_thread(keep, name, texts)
        for history in kept(name):
            await asyncio.to_thread(_keep_state, history)
            if problem := await mismatch(history):
                yield f"{name}  {BAD}: {problem}"


async def _reason(before: list[WorkflowHistory], now: list[WorkflowHistory]) -> str:
    if not before:
        return "new"
    for history in before:
        if problem := await mismatch(history):
            return f"changed: the recording does not replay, {problem}"
    gone, come = kinds(before) - kinds(now), kinds(now) - kinds(before)
    said = [f"-{kind}" for kind in sorted(gone)] + [f"+{kind}" for kind in sorted(come)]
    return "same" + (f", though it plays otherwise now: {', '.join(said)}" if said else "")


def _keep_state(history: WorkflowHistory) -> None:
    """What a continued run was given is what this release carries; the states of earlier releases stay as they are."""
    started = history.events[0].workflow_execution_started_event_attributes
    if not started.continued_execution_run_id or not started.input.payloads:
        return
    kind, state = type_of(history).lower(), json.loads(started.input.payloads[0].data)
    if kind == "run" and CONTINUED not in state:
        return
    STATES.mkdir(exist_ok=True)
    (STATES / f"{kind}-{headway.__version__}.json").write_text(json.dumps(state, indent=1) + "\n")


async def _told(client: Client, story: Story, *, everything: bool) -> AsyncIterator[str]:
    try:
        found = await play(client, story)
    except Exception as error:  # noqa: BLE001 - one story that fails, in whatever way, must not hide the others
        yield f"{story.name}  {BAD}: its story does not end: {error!r}"
        return
    async for line in _write(found, everything=everything):
        yield line


async def record(names: Sequence[str], *, everything: bool) -> int:
    """Play the stories and write what changed; the number of histories that do not replay."""
    logging.disable()  # bugs and terminations are part of the stories
    bad = 0
    for suggest in sorted({story.suggest for story in STORIES}, key=lambda value: value or 0):
        async with service(suggest) as client:
            for story in STORIES:
                if story.suggest == suggest and (not names or story.name in names):
                    async for line in _told(client, story, everything=everything):
                        print(line, flush=True)
                        bad += BAD in line
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.replay.record", description=__doc__)
    parser.add_argument("stories", nargs="*", metavar="STORY", help=", ".join(story.name for story in STORIES))
    parser.add_argument("--all", action="store_true", help="write every history, also one of the same shape")
    options = parser.parse_args()
    raise SystemExit(1 if asyncio.run(record(options.stories, everything=options.all)) else 0)
