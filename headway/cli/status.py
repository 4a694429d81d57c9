"""`headway status`: the runs, or one run on one screen."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from headway.cli.console import open_console, say
from headway.cli.running import run_async
from headway.domain.ids import RunName, run_name_problem
from headway.domain.printable import one_line
from headway.host.home import home_from
from headway.system.disk import shortage_of_disk

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecution

    from headway.cli.display.watch import Look
    from headway.runs.run_end import RunEnd

RUNS_SHOWN = 50
ASKED = 20
"""Open runs that are asked for their state; of the others the service's own word is shown."""
FREE_LINES = 2
"""Lines of a terminal that the next prompt takes."""


def status(
    name: Annotated[str | None, typer.Argument(help="A run's name; without it, all runs.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show every agent and event, or every run.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show the run until it ends or Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="Exit with a code for the run's state; see above.")
    ] = False,
) -> None:
    """List the runs, or show one run: agents at work, stuck agents, cost, landed commits.

    On a terminal it fits the screen. With --exit-status the exit code is that of `headway run` for an ended run, 5
    while the run goes on, and 6 while it waits for you: on hold, paused, parked, stalled, needs attention, or without
    a worker process.
    """
    code = run_async(_status(home_from(), name, everything=everything, watch=watch, as_json=as_json))
    raise typer.Exit(code if exit_status else 0)


async def _status(home: Path, name: str | None, *, everything: bool, watch: bool, as_json: bool) -> int:
    from headway.host.connection import connect, target_of

    client = await connect(target_of(home))
    if (short := shortage_of_disk(home)) is not None:
        say(short, err=True)
    if name is None:
        return await _list(client, home, everything=everything, as_json=as_json)
    if watch and not as_json:
        return await _watch(client, home, RunName(name))
    return await _show(client, home, RunName(name), everything=everything, as_json=as_json)


async def _list(client: "Client", home: Path, *, everything: bool, as_json: bool) -> int:
    most = None if everything else RUNS_SHOWN + 1
    found = [one async for one in client.list_workflows("WorkflowType = 'Run'", limit=most)]
    more = len(found) > RUNS_SHOWN and not everything
    rows = await asyncio.gather(*(_row(client, home, one, ask=at < ASKED) for at, one in enumerate(found[:most])))
    rows = rows[:RUNS_SHOWN] if more else rows
    # On standard error, so that a script reads runs alone.
    say(f"Temporal service {client.service_client.config.target_host}, state folder {home}", err=True)
    if as_json:
        say(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return 0
    if not rows:
        say("There are no runs. Start one with `headway run REPO INSTRUCTIONS`.")
        return 0
    for line in _table([("RUN", "STATE", "STARTED", "TOOK"), *(tuple(row.values()) for row in rows)]):
        say(line)
    if more:
        say(f"There are more than {RUNS_SHOWN}; `headway status --all` lists them.")
    return 0


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their content: nothing is wrapped, so that each run is one line."""
    rows = [tuple(one_line(cell) for cell in row) for row in rows]  # programs that share the service may name anything
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    order = (0, 2, 3, 1)  # the state is last, because it may be long
    return ["  ".join(f"{row[column]:<{widths[column]}}" for column in order).rstrip() for row in rows]


async def _row(client: "Client", home: Path, execution: "WorkflowExecution", *, ask: bool) -> dict[str, str]:
    from datetime import UTC, datetime

    from temporalio.client import WorkflowExecutionStatus

    from headway.runs.run_end import run_end_of
    from headway.runs.run_lookup import status_word

    state = status_word(execution.status)
    if execution.status is WorkflowExecutionStatus.COMPLETED:
        state = (await run_end_of(client, RunName(execution.id))).outcome
    elif execution.status is WorkflowExecutionStatus.RUNNING and ask:
        state = await _asked(client, RunName(execution.id)) or state
    ours = run_name_problem(execution.id) is None and (home / "runs" / execution.id).is_dir()
    if not ours and state != "failed":
        state += " (another state folder)"
    took = str((execution.close_time or datetime.now(UTC)) - execution.start_time).partition(".")[0]
    started = f"{execution.start_time.astimezone():%Y-%m-%d %H:%M}"
    return {"run": execution.id, "state": state, "started": started, "took": took}


async def _asked(client: "Client", name: RunName) -> str:
    """The state of an open run by its own word; empty where it does not answer."""
    from headway.cli.display.board import state_of
    from headway.cli.display.watch import NOWHERE, Watcher
    from headway.host.connection import has_worker

    if not await has_worker(client):
        return ""
    look = await Watcher(client, name, NOWHERE).state()
    return state_of(look) if look.status or look.preparation is not None else ""


async def _watch(client: "Client", home: Path, name: RunName) -> int:
    from headway.cli.display.report import print_run_end
    from headway.cli.display.views import open_view
    from headway.cli.display.watch import follow
    from headway.runs.run_lookup import need_run

    await need_run(client, name)
    console = open_console()
    with open_view(console) as view:
        ending = await follow(client, name, home, view)
    print_run_end(console, name, ending, home)
    return ending.exit_code


async def _show(client: "Client", home: Path, name: RunName, *, everything: bool, as_json: bool) -> int:
    from headway.cli.display.watch import Watcher
    from headway.host.connection import has_worker
    from headway.runs.run_end import run_end_of
    from headway.runs.run_lookup import need_run

    run = await need_run(client, name)
    # A query without a worker process would only run into its timeout.
    answers = await has_worker(client)
    look = await Watcher(client, name, home).look(answers=answers)
    ending = None if run.is_open else await run_end_of(client, name)
    if as_json:
        say(orjson.dumps(json_of(look, ending), option=orjson.OPT_INDENT_2).decode())
    else:
        await _print(client, home, look, ending, everything=everything)
    return _code(look, ending, answers=answers)


async def _print(client: "Client", home: Path, look: "Look", ending: "RunEnd | None", *, everything: bool) -> None:
    from headway.cli.display.report import print_run_end
    from headway.cli.display.screen import screen
    from headway.runs.visibility import tree_from_visibility

    console = open_console()
    if not look.status and look.preparation is None and not look.figures.agents and ending is None:
        console.print("The run did not answer; showing Temporal's list only.", style="yellow", soft_wrap=True)
        look = look_with(look, await tree_from_visibility(client, look.name))
    if ending is not None and not everything:
        print_run_end(console, look.name, ending, home)
        return
    fits = console.is_terminal and not everything
    size = console.size
    for line in screen(look, size.width if console.is_terminal else 10_000, size.height - FREE_LINES if fits else None):
        console.print(line, soft_wrap=True, highlight=False)
    if not fits:
        for note in look.status.get("notes", ()):
            console.print(f"note: {one_line(note)}", highlight=False, markup=False, soft_wrap=True)
    if ending is not None:
        print_run_end(console, look.name, ending, home)


def look_with(look: "Look", tree: Any) -> "Look":
    """The same look with another tree."""
    from dataclasses import replace

    return replace(look, tree=tree)


def _code(look: "Look", ending: "RunEnd | None", *, answers: bool) -> int:
    from headway.cli.display.board import GOES_ON, WAITS_FOR_USER, waits_for_user

    if ending is not None:
        return ending.exit_code
    return WAITS_FOR_USER if not answers or waits_for_user(look) else GOES_ON


def json_of(look: "Look", ending: "RunEnd | None") -> dict[str, Any]:
    from headway.cli.display.board import board_of

    board = board_of(look)
    return {
        "run": look.name,
        "state": ending.outcome if ending is not None else board.state,
        "elapsed_s": board.elapsed_s,
        "attention": list(board.attention),
        "counts": board.counts,
        "total": look.figures.total.model_dump(mode="json"),
        "by_role": {role: part.model_dump(mode="json") for role, part in look.figures.by_role.items()},
        "agents": [
            {"id": row.agent, "title": row.title, "kind": row.kind, "group": row.group, "now": row.words}
            for row in board.rows
        ],
        "commits": [
            {"oid": each.oid, "subject": each.subject, "task": each.task, "at": each.at} for each in look.commits
        ],
        # Its own answer to the query may be some seconds old; the logs are not.
        "status": look.status | ({"spent": look.spent.model_dump()} if look.status else {}),
        "report": ending.report.model_dump(mode="json") if ending is not None and ending.report is not None else None,
        "failure": ending.failure if ending is not None else "",
    }
