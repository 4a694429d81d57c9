"""`headway gc`: finds the leftovers of killed processes and ended runs, and reclaims them when told to."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName
from headway.domain.words import counted
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.git.gc import Reclaimable
    from headway.git.workspace.workspaces import Workspaces

AT_ONCE = 50


def gc(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them; without it they are only shown.")] = False,
) -> None:
    """Find copies of the repository, mounts and cached checkouts that no task needs any more.

    Without --yes it only shows them. Unlanded work of a task is kept on its ref first. A task that has not ended loses
    nothing.
    """
    raise typer.Exit(run_async(_gc(home_from(), yes=yes)))


async def _gc(home: Path, *, yes: bool) -> int:
    from headway.git.gc import reclaim
    from headway.host.connection import connect, target_of

    client = await connect(target_of(home))
    count, stays = 0, 0
    for run in _runs(home):
        places = _places(home, run)
        for left in await _found(client, run, places):
            count += 1
            say(f"{left.kind:<11} {left.place}" + (f"  of {left.owner.task}" if left.owner else ""))
            if yes and (why := await asyncio.to_thread(reclaim, places, left)):
                stays += 1
                say(f"            stays: {why}")
    if not count:
        say("There is nothing to reclaim.")
    elif yes:
        say(f"Reclaimed {count - stays} of {counted(count, 'leftover')}.")
    else:
        what = f"the {counted(count, 'leftover')}"
        say(f"Nothing was removed. This removes {what}, and keeps what did not land: headway gc --yes")
    return 1 if stays else 0


def _runs(home: Path) -> Iterator[RunName]:
    for place in sorted((home / "runs").glob("*/hub.git")):
        if not place.parent.name.startswith("."):
            yield RunName(place.parent.name)


def _places(home: Path, run: RunName) -> "Workspaces":
    from headway.git.hub import Hub
    from headway.git.workspace.workspaces import Workspaces

    folder = home / "runs" / run
    return Workspaces(folder / "workspaces", Hub(folder / "hub.git"))


async def _found(client: "Client", run: RunName, places: "Workspaces") -> "list[Reclaimable]":
    """The leftovers of a run; none while the service does not know this start of it, because it may still go on."""
    from headway.git.gc import reclaimable
    from headway.git.workspace.notes import load_owner
    from headway.runs.run_lookup import describe, find_run, started_in

    try:
        known = await find_run(client, run)
    except UserError:
        known = None
    if known is None or started_in(places.folder.parent) not in {None, known.incarnation}:
        return []  # it may go on at another service
    owners = (load_owner(note.parent) for note in places.folder.glob("*/*/owner.json"))
    tasks = {owner.task for owner in owners if owner is not None}
    gate = asyncio.Semaphore(AT_ONCE)

    async def is_over(task: AgentId) -> bool:
        async with gate:
            found = await describe(client, task)
        return not known.is_open if found is None else found.close_time is not None

    ended = dict(zip(tasks, await asyncio.gather(*map(is_over, tasks)), strict=True))
    return await asyncio.to_thread(
        reclaimable, places, lambda task: ended.get(task, False), run_ended=not known.is_open
    )
