"""`headway status`: the runs, or one run's tree of agents."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import open_console
from headway.cli.home import home_from
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.system.disk import shortage_of_disk

if TYPE_CHECKING:
    from rich.console import Console
    from temporalio.client import Client, WorkflowExecution

RUNS_SHOWN = 50


def status(name: Annotated[str | None, typer.Argument(help="A run's name; without it, all runs.")] = None) -> None:
    """List the runs, or show one run: its tree of agents, its commits, what it has used up."""
    run_async(_status(home_from(), name))


async def _status(home: Path, name: str | None) -> None:
    from headway.cli.connect import connect, target_of

    console = open_console()
    client = await connect(target_of(home))
    if (short := shortage_of_disk(home)) is not None:
        console.print(short, style="yellow", highlight=False, markup=False)
    if name is None:
        await _list(client, console)
    else:
        await _show(client, console, home, RunName(name))


async def _list(client: "Client", console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("RUN", "STATE", "STARTED", "TOOK"):
        table.add_column(column, no_wrap=column == "RUN")
    found = 0
    async for execution in client.list_workflows("WorkflowType = 'Run'", limit=RUNS_SHOWN):
        found += 1
        table.add_row(*await _row(client, execution))
    console.print(table if found else "There are no runs. Start one with `headway run REPO INSTRUCTIONS`.")


async def _row(client: "Client", execution: "WorkflowExecution") -> tuple[str, str, str, str]:
    from datetime import UTC, datetime

    from temporalio.client import WorkflowExecutionStatus

    from headway.cli.watch import ending_of

    state = execution.status.name.lower() if execution.status else "unknown"
    if execution.status is WorkflowExecutionStatus.COMPLETED:
        ending = await ending_of(client, RunName(execution.id))
        state = ending.report.outcome.value if ending.report else state
    took = str((execution.close_time or datetime.now(UTC)) - execution.start_time).partition(".")[0]
    return execution.id, state, f"{execution.start_time.astimezone():%Y-%m-%d %H:%M}", took


async def _show(client: "Client", console: "Console", home: Path, name: RunName) -> None:
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from headway.cli.connect import has_worker
    from headway.cli.report import print_ending
    from headway.cli.views import headline, tree_of
    from headway.cli.visibility import tree_from_visibility
    from headway.cli.watch import Look, ending_of, look_at

    try:
        described = await client.get_workflow_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UserError(f"There is no run named '{name}'.", "`headway status` lists them.") from error
        raise
    # A query without a worker process would only run into its timeout.
    look = await look_at(client, name, home) if await has_worker(client) else Look(problem="no worker process answers")
    if look.status:
        console.print(headline(look.status, look.tree), style="bold", highlight=False)
    tree = look.tree
    if tree is None:
        console.print(f"{look.problem}: what follows is from Temporal's own list alone", style="yellow")
        tree = await tree_from_visibility(client, name)
    console.print(tree_of(tree))
    for commit in look.commits:
        console.print(f"  {commit.short} {commit.subject}", highlight=False, markup=False)
    for note in look.status.get("notes", ()):
        console.print(f"note: {note}", highlight=False, markup=False)
    if described.status is not WorkflowExecutionStatus.RUNNING:
        print_ending(console, name, await ending_of(client, name))
