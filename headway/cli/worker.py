"""`headway worker`: the worker processes alone, as `python worker.py` runs them."""

import sys
from typing import Annotated

import typer

from headway.domain.errors import UserError
from headway.host.worker_roles import ALLOW_WEAK, ROLES, SKIP_RUN, WEAK


def worker(
    only: Annotated[str | None, typer.Option(help=f"One role, in this process: {', '.join(ROLES)}.")] = None,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Number of workers and checks that run at once on this machine.")
    ] = None,
    skip_run: Annotated[list[str] | None, typer.Option(metavar="NAME", help=SKIP_RUN)] = None,
    *,
    allow_weak: Annotated[bool, typer.Option(ALLOW_WEAK, help=WEAK)] = False,
) -> None:
    """Run the worker processes against the service that TEMPORAL_* or `headway up` names."""
    if only is not None and only not in ROLES:
        raise UserError(f"--only: '{only}' is not one of {', '.join(ROLES)}")
    arguments = ["--only", only] if only is not None else []
    arguments += ["--agents", str(agents)] if agents is not None else []
    for run in skip_run or ():
        arguments += ["--skip-run", run]
    arguments += [ALLOW_WEAK] if allow_weak else []
    import worker as program

    sys.exit(program.main(arguments))
