"""`headway amend`: adds to the user's instructions of a run, while it goes on."""

from typing import Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.host.home import home_from


def amend(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    text: Annotated[str, typer.Argument(help="The text to add; @FILE reads it from a file.")],
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
) -> None:
    """Add a text that every planner and worker of the run carries from its next step on."""
    from headway.cli.control_client import give
    from headway.cli.run_input import said
    from headway.domain.orders.amend import Amend

    otherwise = f"`headway continue {name}` starts a new run on what it landed."
    given = {"text": said(text), "why": why}
    order = give(home_from(), Amend, name, words="to carry that text", otherwise=otherwise, fields=given)
    say(run_async(order))
