"""`headway continue`: a new run that goes on where an earlier one ended."""

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import QUIET, say
from headway.cli.running import run_async
from headway.domain.errors import TransientError, UserError
from headway.domain.ids import Oid, RunName, run_name_problem
from headway.domain.words import counted
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.eventlog.run_summary import RunSummary
    from headway.git.hub import Hub
    from headway.runs.continuation import Earlier
    from headway.runs.run_lookup import KnownRun


def continue_(
    name: Annotated[str, typer.Argument(help="The earlier run's name.")],
    instructions: Annotated[
        str | None, typer.Argument(help="New instructions: text, or @FILE; default: the earlier ones.")
    ] = None,
    *,
    as_name: Annotated[str | None, typer.Option("--as", help="Name of the new run; default: NAME-2 and so on.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run and return.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=QUIET)] = False,
) -> None:
    """Start a new run on the trunk of an ended one, with its notes, open concerns and unfinished tasks.

    Limits, policy and models stay. Exits like `headway run`.
    """
    raise typer.Exit(run_async(_continue(home_from(), name, instructions, as_name, detach=detach, quiet=quiet)))


async def _continue(
    home: Path, name: str, instructions: str | None, as_name: str | None, *, detach: bool, quiet: bool
) -> int:
    from headway.cli.run import start_and_follow
    from headway.cli.run_input import said
    from headway.cli.runs_elsewhere import refuse_elsewhere
    from headway.domain.spec import parse_spec
    from headway.git.hub import Hub
    from headway.host.connection import connect, target_of
    from headway.runs.continuation import Earlier, continued_input
    from headway.runs.landed_commits import hub_of
    from headway.runs.run_lookup import find_run

    client = await connect(target_of(home))
    run = await find_run(client, name)
    await _refuse_open(client, run)
    left = await asyncio.to_thread(_left, home, RunName(name), run)
    if run is None:
        await refuse_elsewhere(client, home, RunName(name))
    earlier = Earlier(RunName(name), left.outcome or (run.status if run is not None else "unknown"), left)
    hub = Hub(hub_of(home, earlier.name))
    there = await asyncio.to_thread(_branches, hub)
    base = await asyncio.to_thread(base_of, hub, earlier.name, there)
    raw = continued_input(earlier, hub.address(), base, said(instructions) if instructions is not None else None)
    parse_spec(raw)
    chosen = _given(home, as_name) if as_name is not None else await _free(client, home, earlier, there)
    if not quiet:
        say(f"{name} continues as {chosen}, from {base} of {hub.facts().source}.")
    return await start_and_follow(home, chosen, raw, detach=detach, quiet=quiet)


async def _refuse_open(client: "Client", run: "KnownRun | None") -> None:
    from headway.runs.run_lookup import end_by_hand, left_open

    if run is None:
        return
    if run.is_open:
        raise UserError(
            f"The run '{run.name}' has not ended yet.",
            f"Wait for it, or end it with `headway cancel {run.name}`. `headway reset {run.name}` replans within it.",
        )
    left = await left_open(client, run.name)
    if left:
        raise UserError(
            f"The run '{run.name}' is closed ({run.status}). Still up: {counted(len(left), 'agent')}.",
            f"They end by themselves; this ends them now: {end_by_hand(run.name, 'cancel')}",
        )


def _left(home: Path, name: RunName, run: "KnownRun | None") -> "RunSummary":
    from headway.eventlog.local_store import LocalStore
    from headway.eventlog.run_summary import left_by
    from headway.runs.landed_commits import hub_of

    left = left_by(LocalStore(home), name)
    if left is not None and hub_of(home, name).is_dir():
        return left
    if run is None and left is None:
        raise UserError(f"There is no run named '{name}'.", "`headway status` lists them.")
    raise UserError(
        f"Nothing of run '{name}' lies in {home}: it never began, or it worked on another machine.",
        "Start it anew with `headway run`, or continue it where it worked.",
    )


def _branches(hub: "Hub") -> dict[str, Oid]:
    from headway.git.published import branches_there

    try:
        return branches_there(hub, "headway/*")
    except TransientError as error:
        raise UserError(f"The run's repository cannot be asked: {error}", "Correct that and try again.") from error


def base_of(hub: "Hub", run: RunName, there: dict[str, Oid]) -> str:
    """The start of a continuation: the branch that the run published, or the trunk's commit if it is there.

    Args:
        hub: The run's hub.
        run: Its name.
        there: Branches of the user's repository.

    Raises:
        UserError: The user's repository lacks the run's landed work; says how to put it there.
    """
    tip, branch = hub.tip(), f"headway/{run}/main"
    stands = there.get(branch)
    if stands is not None and not (stands != tip and _is_behind(hub, stands, tip)):
        return branch
    if tip == hub.facts().base or _holds(hub, tip):
        return tip
    where = hub.facts().source
    push = shlex.join(["git", "--git-dir", str(hub.folder), "push", where, f"main:refs/heads/{branch}"])
    how = "was never published there" if stands is None else "stands behind it there"
    raise UserError(
        f"{where} does not have what run '{run}' landed: its branch '{branch}' {how}.",
        f"Put it there, then try again: {push}",
    )


def _is_behind(hub: "Hub", commit: Oid, tip: Oid) -> bool:
    return hub.repo.resolve(f"{commit}^{{commit}}") is not None and hub.is_ancestor(commit, tip)


def _holds(hub: "Hub", commit: Oid) -> bool:
    """True if the user's repository, if it is on this machine, has the commit: its branch may have been merged."""
    from headway.git.local_upstream import LocalUpstream, local_path

    path = local_path(hub.address())
    if path is None:
        return False
    try:
        LocalUpstream(path, path).start(commit)
    except UserError:
        return False
    return True


def _given(home: Path, name: str) -> RunName:
    problem = run_name_problem(name)
    if problem:
        raise UserError(f"--as: '{name}' {problem}")
    if (home / "runs" / name).exists():
        raise UserError(
            f"--as: there was a run named '{name}' before, and its logs are here.",
            f"Give another name, or remove that one with `headway rm {name}`.",
        )
    return RunName(name)


async def _free(client: "Client", home: Path, earlier: "Earlier", there: dict[str, Oid]) -> RunName:
    from headway.runs.continuation import next_names
    from headway.runs.run_lookup import describe

    for candidate in next_names(earlier.name, earlier.left.spec.instructions):
        taken = (home / "runs" / candidate).exists() or f"headway/{candidate}/main" in there
        if not taken and await describe(client, candidate) is None:
            return candidate
    raise UserError(f"Every name from {earlier.name}-2 on is taken.", "Give one with --as.")
