"""`headway run`: starts a run and shows it until it ends."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli.console import QUIET, open_console, say
from headway.cli.preflight import need_model
from headway.cli.run_input import compose, name_for
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.domain.printable import one_line
from headway.domain.state.budget import Ceiling
from headway.host.home import home_from

if TYPE_CHECKING:
    from rich.console import Console
    from temporalio.client import Client
    from temporalio.common import WorkflowIDReusePolicy

    from headway.runs.run_end import RunEnd

_LONGEST_START = 100
"""Events within which a run is refused at its start."""


def run(
    repo: Annotated[str | None, typer.Argument(help="Path or URL of a git repository.")] = None,
    instructions: Annotated[str | None, typer.Argument(help="The instructions: text, or @FILE.")] = None,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the run, and of its branches.")] = None,
    base: Annotated[str | None, typer.Option(help="Branch, tag or commit to start from.")] = None,
    check: Annotated[str | None, typer.Option(help="Command that succeeds on a good commit.")] = None,
    setup: Annotated[str | None, typer.Option(help="Command that makes a checkout ready to build and test.")] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON file with more of the input: limits, policy, models.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run and return.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=QUIET)] = False,
) -> None:
    """Start a run on a repository and show it. Ctrl-C leaves it running.

    Exits with 0 done, 3 done_unproven, 4 partial, 1 failed.
    """
    given = {"repo": repo, "instructions": instructions, "base": base, "check": check, "setup": setup}
    raw = compose(input_file, given)
    chosen = name_for(raw, name, datetime.now().astimezone())
    raise typer.Exit(run_async(start_and_follow(home_from(), chosen, raw, detach=detach, quiet=quiet)))


async def start_and_follow(home: Path, name: RunName, raw: dict[str, Any], *, detach: bool, quiet: bool) -> int:
    """Start a run and show it until it ends, or return once it is prepared; the exit code of the command.

    A quiet start prints the result alone: how the run ended, or, detached, its name.

    Raises:
        UserError: It cannot be started.
    """
    import asyncio

    from headway.cli.display.report import print_run_end
    from headway.runs.preparation import DETACHED_WAITS_S, until_prepared

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    console = open_console()
    client = await ready_client(home)
    await start(client, name, raw)
    try:
        patience = DETACHED_WAITS_S if detach else float("inf")
        prepared = await until_prepared(client, name, lambda line: tell(f"{name}: {line}"), patience_s=patience)
        for line in await _opening(client, name) if prepared else [f"{name} is still being prepared."]:
            tell(line)
        if detach:
            if quiet:
                say(name)
            return 0
        ending = await _followed(client, name, home, console, quiet=quiet)
    except asyncio.CancelledError:
        tell(f"The run goes on. `headway status {name}` shows it; `headway cancel {name}` ends it.")
        raise
    print_run_end(console, name, ending, home)
    return ending.exit_code


async def _followed(client: "Client", name: RunName, home: Path, console: "Console", *, quiet: bool) -> "RunEnd":
    """The run's end; until then the run is shown, unless the command is quiet."""
    from headway.cli.display.views import open_view
    from headway.cli.display.watch import follow
    from headway.runs.run_end import run_end_of

    if quiet:
        return await run_end_of(client, name)
    with open_view(console) as view:
        return await follow(client, name, home, view)


async def _opening(client: "Client", name: RunName) -> list[str]:
    """The limits of a run that has just begun, and the notes for its user."""
    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError

    from headway.cli.display.words import allowed
    from headway.runs.live_tree import ask

    begun = f"Run {name} has started. `headway status {name}` shows it at any time."
    try:
        status = await ask(client, name, "status")
    except (TimeoutError, RPCError, WorkflowQueryFailedError):
        return [begun]
    granted = Ceiling.model_validate(status["granted"]) if status.get("granted") else None
    may = [f"limits: {allowed(granted)}; `headway limits {name}` changes them"] if granted else []
    return [begun, *may, *(f"note: {one_line(note)}" for note in status.get("notes", ()))]


async def ready_client(home: Path) -> "Client":
    """A client of a service that has a worker process.

    Raises:
        UserError: Without a model endpoint, without a service, without a worker process.
    """
    from headway.host.connection import WORKFLOW_QUEUE, connect, has_worker, target_of

    target = target_of(home)
    try:
        client = await connect(target)
    except UserError:
        # The key is asked for first: it must be there before `headway up`, which is the next remedy.
        need_model()
        raise
    if not await has_worker(client):
        need_model()
        raise UserError(
            f"No worker process polls the task queue '{WORKFLOW_QUEUE}' at {target.address}.",
            "Start them with `headway worker`, or with `headway up` when that service is the local one.",
        )
    return client


async def start(client: "Client", name: RunName, raw: dict[str, Any]) -> None:
    """Start the workflow `Run`.

    Raises:
        UserError: The name was used before.
    """
    from temporalio.common import WorkflowIDReusePolicy
    from temporalio.exceptions import WorkflowAlreadyStartedError

    try:
        await _start(client, name, raw, WorkflowIDReusePolicy.REJECT_DUPLICATE)
    except WorkflowAlreadyStartedError as error:
        if await _never_began(client, name):
            with suppress(WorkflowAlreadyStartedError):  # by another call meanwhile
                await _start(client, name, raw, WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)
                return
        raise UserError(
            f"--name: a run named '{name}' is there already.",
            f"`headway status {name}` shows it. Give the new one another name, or remove that one with "
            f"`headway rm {name}`.",
        ) from error


async def _start(client: "Client", name: RunName, raw: dict[str, Any], reuse: "WorkflowIDReusePolicy") -> None:
    from headway.domain.task import in_history
    from headway.host.connection import WORKFLOW_QUEUE

    await client.start_workflow(
        "Run",
        raw,
        id=name,
        task_queue=WORKFLOW_QUEUE,
        id_reuse_policy=reuse,
        static_summary=in_history(str(raw["instructions"])),
    )


async def _never_began(client: "Client", name: RunName) -> bool:
    """True if the newest run of that name was refused at its start, before it had a planner."""
    from temporalio.api.enums.v1 import EventType
    from temporalio.client import WorkflowExecutionStatus

    handle = client.get_workflow_handle(name)
    described = await handle.describe()
    if described.status is not WorkflowExecutionStatus.FAILED or described.history_length > _LONGEST_START:
        return False
    started = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    return all([event.event_type != started async for event in handle.fetch_history_events()])
