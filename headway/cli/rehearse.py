"""`headway rehearse`: serves a playbook as an OpenAI-compatible model server."""

import time
from pathlib import Path
from typing import Annotated

import typer


def rehearse(
    playbook: Annotated[Path, typer.Argument(help="YAML file: what each planner and each task answers.")],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes any free one.")] = 0,
) -> None:
    """Serve a scripted model: free, deterministic, offline, and without any intelligence.

    Ends with 4 when the run and the playbook disagreed.
    """
    from headway.rehearsal.host import Rehearsal

    with Rehearsal(playbook, port) as rehearsal:
        try:
            _announce(rehearsal.playbook.name, rehearsal.playbook.model, rehearsal.url)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            problems = rehearsal.problems()
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(4 if problems else 0)


def _announce(name: str, model: str, url: str) -> None:
    typer.echo(f"REHEARSAL of '{name}'. Give it to `headway up` and `headway run` as")
    typer.echo(f"  export OPENAI_BASE_URL={url}")
    typer.echo(f"  export HEADWAY_PLANNER_MODEL={model} HEADWAY_WORKER_MODEL={model}")
    typer.echo("Ctrl-C ends it and says where the run and the playbook disagreed.")
