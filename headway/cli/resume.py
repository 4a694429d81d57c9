"""`headway resume`: lets a paused run or subtree go on, and a run that needs attention."""

from typing import Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.host.home import home_from


def resume(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    agent: Annotated[
        str | None, typer.Argument(help="A planner or task: its id, such as 1.3, or its title; default: the whole run.")
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
) -> None:
    """Let a paused run or subtree go on. A run that needs attention goes on with another root planner."""
    from headway.cli.control_client import tell_run

    say(run_async(tell_run(home_from(), "resume", name, agent, why=why)))
