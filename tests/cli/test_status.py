"""`headway status` of runs in every state: the workflow is a stand-in, its service is real."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from headway.cli.display.board import waits_for_user
from headway.cli.display.screen import screen
from headway.cli.display.watch import Watcher
from headway.domain.ids import RunName
from headway.eventlog.views.figures import FiguresReader
from headway.runs.run_end import run_end_of
from headway.runs.run_lookup import delete_histories, executions
from tests.support.command import headway

OTHERS = ("../other", "other\n\x1b]0;well\x07well  2026-11-30 10:00  0:00:01  done", "x" * 300, "other")
"""Ids of workflows of another program, whose type is called `Run` too."""
PAUSED = {"version": 1, "paused": {"lunch": {"who": "ada@box", "why": "lunch", "at": 1.0}}}


@workflow.defn(name="Run")
class StandIn:
    """Stands in the state that its name says."""

    @workflow.run
    async def run(self, _: Any) -> Any:
        if workflow.info().workflow_id in OTHERS:
            return ["nothing", "of", "ours"]
        if workflow.info().workflow_id == "broke":
            await workflow.execute_activity("prepare_run", start_to_close_timeout=timedelta(seconds=60))
        await workflow.wait_condition(lambda: False)
        return None

    @workflow.query
    def status(self) -> dict[str, Any]:
        name = workflow.info().workflow_id
        phase = {"broke": "preparing", "held": "hold"}.get(name, "running")
        return {"run": None if phase == "preparing" else name, "phase": phase, "attention": [f"look at {name}"]}

    @workflow.query
    def control(self) -> dict[str, Any]:
        return PAUSED if workflow.info().workflow_id == "lunch" else {}


@activity.defn
def prepare_run() -> None:
    raise ApplicationError("No space left on device\nfree some space", type="Shortage")


@pytest.fixture
async def runs(client: Client) -> AsyncIterator[Client]:
    """Four runs that go on."""
    with ThreadPoolExecutor(2) as pool:
        async with Worker(
            client, task_queue="headway", workflows=[StandIn], activities=[prepare_run], activity_executor=pool,
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):  # fmt: skip
            for name in ("broke", "held", "lunch", "well"):
                await client.start_workflow("Run", {}, id=name, task_queue="headway")
            yield client


async def test_states_that_wait_for_their_user_are_told_everywhere(home: Path, runs: Client) -> None:
    listed = ""
    while listed.count("\n") < 5 or "No space" not in listed:
        listed = (await headway(home, "status")).out
    lines = [line.removesuffix(" (another state folder)") for line in listed.splitlines()[1:]]
    states = {line.split()[0]: line.split("  ")[-1].strip() for line in lines}
    assert states["held"] == "on hold: budget exhausted"
    assert states["lunch"] == "paused: lunch"
    assert states["well"] == "running"
    assert states["broke"].startswith("preparing: No space left on device free some space (try ")
    for name in states:
        look = await Watcher(runs, RunName(name), home).look()
        first = screen(look, 10_000)[0].plain
        assert first.startswith(f"{name}: {states[name].partition(' (try')[0]}")
        assert waits_for_user(look) is (name != "well")
        assert name == "broke" or look.status["attention"] == [f"look at {name}"]
    waits = await headway(home, "status", "broke", "--exit-status")
    assert (waits.code, "None" in waits.out) == (6, False)
    assert (await headway(home, "status", "well", "--exit-status")).code == 5
    assert (await headway(home, "status", "held")).code == 0
    told = json.loads((await headway(home, "status", "lunch", "--json")).out)
    assert (told["state"], told["attention"][0]) == ("paused: lunch", "look at lunch")
    assert {each["run"] for each in json.loads((await headway(home, "status", "--json")).out)} == set(states)


async def test_the_view_and_the_list_survive_every_error_of_a_look(
    home: Path, runs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Watcher(runs, RunName("well"), home)
    before = await watcher.look()
    assert before.status["phase"] == "running"

    def broken(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as without_processes:
        without_processes.setattr(FiguresReader, "look", broken)
        look = await watcher.look()
    assert look.status == before.status, "what is known stays"
    assert "Resource temporarily unavailable" in look.problem
    (home / "runs" / "well" / "hub.git").mkdir(parents=True)
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", "/nowhere")
        assert (await watcher.look()).status["phase"] == "running"
    # Other programs share the service, and runs are removed.
    for name in OTHERS:
        await (await runs.start_workflow("Run", 7, id=name, task_queue="headway")).result()
    listed = await headway(home, "status")
    while listed.code == 0 and listed.out.count("\n") < 1 + 4 + len(OTHERS):  # the service's list may be behind
        listed = await headway(home, "status")
    assert (listed.code, listed.out.count("\n")) == (0, 1 + 4 + len(OTHERS)), listed
    assert "\x1b" not in listed.out
    other = RunName("other")
    assert (await run_end_of(runs, other)).outcome == "completed"
    await delete_histories(runs, await executions(runs, other))
    gone = await asyncio.wait_for(run_end_of(runs, other, gone_s=0.5), 60)
    assert (gone.outcome, gone.exit_code, gone.report) == ("removed", 1, None)
