"""`headway rm`: removes an ended run: its branches, logs, hub, workspaces and histories. Shows them first."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
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

    from headway.git.published import Branch
    from headway.runs.run_resources import RunResources, UserRepository

NAMED = 20
PATHS_NAMED = 5
GONE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2


def rm(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Remove the run; without it the list is only shown.")
    ] = False,
) -> None:
    """Remove everything of an ended run. Without --yes it only lists it.

    Afterwards the name is free. The next `headway rm` finishes a removal that was cut short.
    """
    raise typer.Exit(run_async(_rm(home_from(), name, yes=yes)))


async def _rm(home: Path, name: str, *, yes: bool) -> int:
    from headway.cli.runs_elsewhere import refuse_elsewhere
    from headway.host.connection import connect, target_of
    from headway.runs.run_lookup import need_own_run
    from headway.runs.run_resources import resources_of

    client = await connect(target_of(home))
    found = await resources_of(client, home, RunName(name))
    if found.is_empty:
        raise UserError(f"There is no run named '{name}'.", "`headway status` lists them.")
    await _refuse_open(client, found)
    if found.run is not None:
        await need_own_run(client, home, name)
    elif found.folders:
        await refuse_elsewhere(client, home, found.name)
    for line in _shown(home, found, await _how_it_ended(client, found)):
        say(line)
    if not yes:
        say(f"Nothing was removed. This removes it: headway rm {name} --yes")
        return 0
    return await _remove(client, home, found)


async def _refuse_open(client: "Client", found: "RunResources") -> None:
    from headway.runs.run_lookup import end_by_hand, left_open

    if found.run is not None and found.run.is_open:
        raise UserError(f"The run '{found.name}' has not ended.", f"End it first with `headway cancel {found.name}`.")
    left = await left_open(client, found.name)
    if left:
        raise UserError(
            f"Still up: {counted(len(left), 'agent')} of run '{found.name}'.",
            f"They end by themselves; this ends them now: {end_by_hand(found.name)}",
        )


async def _remove(client: "Client", home: Path, found: "RunResources") -> int:
    """First the parts that need the hub, then the histories, the folder last: a second removal finds the rest.

    As long as the folder is there, a new run of the name is refused with this command as the remedy.
    """
    from headway.eventlog.local_store import LocalStore
    from headway.git.workspace.overlay import unmount_below
    from headway.runs.run_lookup import delete_histories

    for said in await asyncio.to_thread(_withdraw_all, home, found):
        say(said)
    # The run's own at the end, so that it is listed as long as there is anything to remove.
    await delete_histories(client, (one for one in found.histories if one.id != found.name))
    await delete_histories(client, (one for one in found.histories if one.id == found.name))
    await _until_gone(client, found)
    await asyncio.to_thread(unmount_below, home / "runs" / found.name)
    await asyncio.to_thread(LocalStore(home).forget, found.name)
    say(f"{found.name} is removed.")
    return 0


def _withdraw_all(home: Path, found: "RunResources") -> list[str]:
    from headway.git.hub import Hub
    from headway.git.published import withdraw
    from headway.runs.landed_commits import hub_of

    if found.repository is None:
        return []
    hub = Hub(hub_of(home, found.name))
    problems = (withdraw(hub, branch) for branch in found.repository.branches if not branch.kept)
    return [problem for problem in problems if problem]


async def _until_gone(client: "Client", found: "RunResources") -> None:
    from headway.runs.run_lookup import delete_histories, describe, executions

    until, begun = time.monotonic() + GONE_WITHIN_S, datetime.now(UTC)
    asked = {one.run_id for one in found.histories}
    while True:
        left = await executions(client, found.name)
        if not left and await describe(client, found.name) is None:
            return
        if time.monotonic() >= until:
            more = counted(len(left), "execution")
            raise UserError(
                f"The service still lists {more} of '{found.name}', which it was asked to delete.",
                f"Nothing is broken: run `headway rm {found.name} --yes` again to remove the rest.",
            )
        # Its list may have been behind at the first call. Workflows that were started since are not ours to remove.
        await delete_histories(client, (one for one in left if one.run_id not in asked and one.start_time < begun))
        asked |= {one.run_id for one in left}
        await asyncio.sleep(LOOK_EVERY_S)


async def _how_it_ended(client: "Client", found: "RunResources") -> str:
    """End of the run, in the word that `headway run` and `headway status` use."""
    from headway.runs.run_end import run_end_of

    if found.run is None:
        return "unknown to the service"
    return (await run_end_of(client, found.name)).outcome if found.run.status == "completed" else found.run.status


def _shown(home: Path, found: "RunResources", how: str) -> Iterator[str]:
    from headway.runs.run_resources import readable

    yield f"run         {found.name}, {how}"
    if found.repository is not None:
        yield from _repository(found.repository)
    for folder in found.folders:
        files = counted(folder.files, "file")
        yield f"folder      {home / 'runs' / found.name}: {folder.name}, {files}, {readable(folder.size)}"
    for rest in found.rests:
        yield f"folder      {rest}: the rest of a removal that was cut short"
    yield f"histories   {counted(len(found.histories), 'workflow execution')} on the service"


def _repository(repository: "UserRepository") -> Iterator[str]:
    for branch in repository.branches:
        yield _branch(repository, branch)
    if repository.problem:
        yield f"branches    stay as they are: {repository.problem}"
    if repository.only_here:
        yield f"commits     {repository.only_here} of {repository.commits} are nowhere else: they WILL BE LOST"
    for kept in repository.unlanded[:NAMED]:
        more = f" and {len(kept.paths) - PATHS_NAMED} more" if len(kept.paths) > PATHS_NAMED else ""
        yield f"unlanded    {kept.ref}: {', '.join(kept.paths[:PATHS_NAMED])}{more}"
    if len(repository.unlanded) > NAMED:
        more = counted(len(repository.unlanded) - NAMED, "more ref")
        yield f"unlanded    and {more} with work that is not on the trunk"


def _branch(repository: "UserRepository", branch: "Branch") -> str:
    if branch.kept:
        return f"branch      {branch.name} in {repository.address} stays: {branch.kept}"
    held = f", also in {', '.join(branch.elsewhere[:PATHS_NAMED])}" if branch.elsewhere else ""
    return f"branch      {branch.name} in {repository.address} at {branch.ours[:12]}{held}"
