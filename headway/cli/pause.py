"""`headway pause`: holds a run, or one agent of it with everything below it."""

from typing import Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.host.home import home_from


def pause(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    agent: Annotated[
        str | None, typer.Argument(help="A planner or task: its id, such as 1.3, or its title; default: the whole run.")
    ] = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Kill running commands too; they are logged as such.")] = False,
    why: Annotated[str, typer.Option(help="The reason; `headway status` shows it.")] = "",
) -> None:
    """Hold a run, or an agent and all below it, at the next step of each. Nothing is lost; it costs nothing."""
    from headway.cli.control_client import tell_run

    say(run_async(tell_run(home_from(), "pause", name, agent, why=why, now=now)))
