"""`headway cancel`: ends a run permanently; changes of its agents that have not landed are kept on refs."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.words import counted
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.runs.run_lookup import KnownRun

LOOK_EVERY_S = 0.5
NAMED = 20


def cancel(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
    wait: Annotated[float, typer.Option(min=0, help="Longest wait until everything is down, in seconds.")] = 180,
) -> None:
    """End a run: every agent stops, unlanded work is kept, and landed work is published.

    Exits with 0 when everything is down, and with 1 when something is still up after the wait.
    """
    raise typer.Exit(run_async(_cancel(home_from(), name, why, wait)))


async def _cancel(home: Path, name: str, why: str, wait_s: float) -> int:
    from headway.host.connection import connect, has_worker, target_of
    from headway.runs.run_lookup import need_own_run, open_agents

    client = await connect(target_of(home))
    run = await need_own_run(client, home, name)
    if not run.is_open:
        raise await _closed(client, run)
    await client.get_workflow_handle(name).cancel(reason=why)
    say(f"{name} was asked to cancel.")
    if not await has_worker(client):
        raise UserError(
            "No worker process is there to carry it out. It is not lost: it takes effect when one starts.",
            "Start them with `headway worker`, or with `headway up` when the service is the local one.",
        )
    if await _until_down(client, run.name, why, wait_s):
        say(f"{name} is down. `headway status {name}` shows its result.")
        return 0
    _tell_left(run.name, await open_agents(client, run.name))
    return 1


async def _until_down(client: "Client", name: RunName, why: str, wait_s: float) -> bool:
    from headway.runs.run_lookup import need_run, open_agents

    until, shown, told = time.monotonic() + wait_s, -1, set[str]()
    while True:
        run, up = await need_run(client, name), await open_agents(client, name)
        if not run.is_open and not up:
            return True
        if run.is_open and not run.cancel_requested:
            # It continued as new just then, and a cancel does not go over to the next execution.
            await client.get_workflow_handle(name).cancel(reason=why)
        if not run.is_open:
            # No agent above them is left that would pass the cancel on.
            await _cancel_each(client, [agent for agent in up if agent not in told])
            told.update(up)
        if len(up) != shown:
            shown = len(up)
            say(f"{shown} still up")
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(LOOK_EVERY_S)


async def _cancel_each(client: "Client", agents: list[str]) -> None:
    from temporalio.service import RPCError, RPCStatusCode

    for agent in agents:
        try:
            await client.get_workflow_handle(agent).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


async def _closed(client: "Client", run: "KnownRun") -> UserError:
    from headway.runs.run_lookup import end_by_hand, left_open

    left = await left_open(client, run.name)
    if not left:
        return UserError(f"The run '{run.name}' is closed already: {run.status}.", "There is nothing to cancel.")
    return UserError(
        f"The run '{run.name}' is closed already ({run.status}). Still up: {counted(len(left), 'agent')}.",
        f"They end by themselves; this ends them now: {end_by_hand(run.name, 'cancel')}",
    )


def _tell_left(name: RunName, left: list[str]) -> None:
    from headway.runs.run_lookup import end_by_hand

    say(f"Still up: {counted(len(left), 'workflow')} of {name}:")
    for agent in left[:NAMED]:
        say(f"  {agent}")
    if len(left) > NAMED:
        say(f"  and {len(left) - NAMED} more")
    say(f"They may still end by themselves. This ends them at once, and loses their unkept work: {end_by_hand(name)}")
