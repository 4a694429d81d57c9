"""`headway resume`: lets a paused run or subtree go on, and a run that needs attention."""

from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.runs.run_lookup import KnownRun


def resume(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    agent: Annotated[
        str | None, typer.Argument(help="A planner or task: its id, such as 1.3, or its title; default: the whole run.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
) -> None:
    """Resume a paused run or subtree. A run that needs attention gets another root planner."""
    from headway.cli.control_client import give
    from headway.domain.orders.resume import Resume

    words, otherwise = "to resume {}", "There is nothing to resume."
    given = {"why": why}
    order = give(home_from(), Resume, name, agent, words=words, otherwise=otherwise, fields=given, check=_is_paused)
    say(run_async(order))


async def _is_paused(client: "Client", run: "KnownRun", target: AgentId) -> None:
    """Refuse to resume what something else holds: the answer would sound as if it went on.

    Raises:
        UserError: A pause above the target, or the run's limit, keeps it from going on.
    """
    from headway.cli.display.watch import NOWHERE, Watcher
    from headway.runs.short_ids import short_id

    look = await Watcher(client, run.name, NOWHERE).state()
    if look.control is None or target in look.control.paused:
        return
    above = look.control.hold_on(target)
    if above is not None:
        reason = f" ({above.why})" if above.why else ""
        raise UserError(
            f"{short_id(target)} is not paused itself: something above it is{reason}.",
            f"`headway resume {run.name}` resumes the whole run; `headway status {run.name}` shows each pause.",
        )
    if look.status.get("phase") == "hold":
        raise UserError("The run is on hold, not paused: its budget is exhausted.", *look.status.get("attention", ()))
