"""`headway pause`: holds a run, or one agent of it with everything below it."""

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


def pause(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    agent: Annotated[
        str | None, typer.Argument(help="A planner or task: its id, such as 1.3, or its title; default: the whole run.")
    ] = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Kill running commands too; they are logged as such.")] = False,
    why: Annotated[str, typer.Option(help="The reason; `headway status` shows it.")] = "",
) -> None:
    """Hold a run, or an agent and all below it, at the next step of each. A pause costs nothing."""
    from headway.cli.control_client import give
    from headway.domain.orders.pause import Pause

    words, otherwise = "to pause {}", "There is nothing to pause."
    given = {"why": why, "now": now}
    order = give(home_from(), Pause, name, agent, words=words, otherwise=otherwise, fields=given, check=_at_work)
    say(run_async(order))


async def _at_work(client: "Client", run: "KnownRun", target: AgentId) -> None:
    """Refuse to pause an agent that has ended.

    Raises:
        UserError: It has.
    """
    from headway.runs.run_lookup import describe
    from headway.runs.short_ids import short_id

    described = None if target == AgentId(run.name) else await describe(client, target)
    if described is not None and described.close_time is not None:
        raise UserError(f"The agent {short_id(target)} has ended already.", "There is nothing to pause.")
