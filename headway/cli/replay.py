"""`headway replay`: runs workflow code over recorded histories, without a service's worker, an activity or a model."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, run_name_problem, run_of
from headway.domain.words import counted
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecution, WorkflowHistory

    from headway.host.replayed import Replayed
    from headway.runs.decisions import Decisions

MISMATCH = 1


def replay(
    what: Annotated[
        list[str],
        typer.Argument(metavar="NAME|AGENT|FILE...", help="A run's name, an agent's id, or a history in a JSON file."),
    ],
    *,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Show the decisions of planners, turn by turn.")
    ] = False,
) -> None:
    """Replay histories with the installed code: the same decisions, without one model call.

    A run's name stands for every workflow of the run. Exits with 0 when all replay, and with 1 when one does not.
    """
    places = [Path(each) if _is_file(each) else _known(each) for each in what]
    raise typer.Exit(run_async(_replay(home_from(), places, show_decisions=decisions)))


async def _replay(home: Path, places: "list[Path | str]", *, show_decisions: bool) -> int:
    import logging

    from headway.host.replayed import replay_each
    from headway.runs.decisions import Decisions
    from workflows.replay import replayer

    # The SDK logs each mismatch with a stack too; the output here is for the user.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    found: list[Replayed] = []
    decided: dict[str, Decisions] = {}
    histories = _taken_down(_all_histories(home, places), decided if show_decisions else None)
    one_file = len(places) == 1 and isinstance(places[0], Path)
    async for one in replay_each(replayer(), histories):
        found.append(one)
        if one.mismatch:
            say(f"{one.workflow} differs from its history at {one.mismatch}")
        elif not one_file:
            say(_line(one))
    for workflow, its in decided.items():
        say(f"\n{workflow}")
        say("\n".join(its.lines) or "  no turn yet")
    return _sum_up(found)


async def _all_histories(home: Path, places: "list[Path | str]") -> AsyncIterator["WorkflowHistory"]:
    from headway.host.connection import connect, target_of
    from headway.host.history import fetch_histories, read_history

    client: Client | None = None
    for place in places:
        if isinstance(place, Path):
            yield read_history(place)
            continue
        client = client or await connect(target_of(home))
        executions = await _executions(client, await _full_id(client, home, str(place)))
        async for history in fetch_histories(client, executions):
            yield history


async def _taken_down(
    histories: AsyncIterator["WorkflowHistory"], decided: "dict[str, Decisions] | None"
) -> AsyncIterator["WorkflowHistory"]:
    """The same histories. The decisions of planners are noted on the way, if `decided` is given."""
    from headway.host.history import type_of
    from headway.runs.decisions import Decisions

    async for history in histories:
        if decided is not None and type_of(history) == "Planner":
            decided.setdefault(history.workflow_id, Decisions()).add(history)
        yield history


def _is_file(what: str) -> bool:
    return what.endswith((".json", ".json.gz")) or Path(what).is_file()


def _known(what: str) -> str:
    if (problem := run_name_problem(run_of(AgentId(what)))) or "'" in what:
        raise UserError(
            f"'{what}' is not a file, a run's name or an agent's id" + (f": it {problem}" if problem else ""),
            "`headway status` lists the runs, `headway status NAME` the agents of one.",
        )
    return what


async def _full_id(client: "Client", home: Path, what: str) -> str:
    """The workflow id of an agent written as NAME/1.3. Names of runs and ids that the service knows stay."""
    from headway.runs.find_agent import find_agent
    from headway.runs.run_lookup import describe, find_run

    name, slash, agent = what.partition("/")
    if not slash or await describe(client, what) is not None:
        return what
    run = await find_run(client, name)
    return await find_agent(client, home, run, agent) if run is not None else what


async def _executions(client: "Client", what: str) -> list["WorkflowExecution"]:
    """All that the service has of a workflow, or of everything in a run, each chain in its order."""
    query = f"WorkflowId = '{what}'" + ("" if "/" in what else f" OR RootWorkflowId = '{what}'")
    executions = [execution async for execution in client.list_workflows(query)]
    if not executions:
        raise UserError(
            f"The service knows no workflow '{what}', and there is no such file.",
            "`headway status` lists the runs. The service forgets closed ones after its retention.",
        )
    return sorted(executions, key=lambda execution: execution.start_time)


def _line(one: "Replayed") -> str:
    return f"{one.workflow}  {one.kind}  {one.events:,} events  {one.bytes / 1000:,.0f} kB  {one.seconds:.2f} s  ok"


def _sum_up(found: list["Replayed"]) -> int:
    bad = sum(bool(one.mismatch) for one in found)
    if bad:
        say(f"{bad} of {len(found)} do not replay with this code.")
        return MISMATCH
    count = f" in {counted(len(found), 'history', 'histories')}" if len(found) > 1 else ""
    say(f"replays deterministically: {sum(one.events for one in found):,} events{count}")
    return 0
