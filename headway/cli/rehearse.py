"""`headway rehearse`: serves a playbook as an OpenAI-compatible model server."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.domain.errors import UserError

if TYPE_CHECKING:
    from headway.rehearsal.playbook import Playbook


def rehearse(
    playbook: Annotated[
        Path | None, typer.Argument(help="YAML file: the answers for each planner and task, or the shape to generate.")
    ] = None,
    *,
    generate: Annotated[
        str | None, typer.Option(help="Instead of a file: the shape of a whole run, as 'tasks=40,levels=3,hot=0.1'.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes any free one.")] = 0,
) -> None:
    """Serve a scripted model: free, deterministic, offline, and without any intelligence.

    Exits with 4 when the run and the playbook disagreed.
    """
    from headway.rehearsal.host import Rehearsal

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it so, and wants its report too
    with Rehearsal(_served(playbook, generate), port) as rehearsal:
        try:
            _announce(rehearsal.playbook.name, rehearsal.playbook.model, rehearsal.url)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            problems = rehearsal.problems()
    for problem in problems:
        say(problem, err=True)
    raise typer.Exit(4 if problems else 0)


def _served(playbook: Path | None, shape: str | None) -> "Playbook":
    from headway.cli.agent_tools import names
    from headway.rehearsal.generator import generate
    from headway.rehearsal.playbook_reader import parse_shape, read_playbook

    if playbook is not None and shape is None:
        return read_playbook(playbook, names())
    if shape is not None and playbook is None:
        return generate(parse_shape(shape, "--generate"))
    raise UserError("Give either a playbook or --generate.", "A playbook may say `generate: {...}` itself.")


def _announce(name: str, model: str, url: str) -> None:
    say(f"REHEARSAL of '{name}'. Give it to `headway up` and `headway run` as")
    say(f"  export OPENAI_BASE_URL={url}")
    say(f"  export HEADWAY_PLANNER_MODEL={model} HEADWAY_WORKER_MODEL={model}")
    say("Ctrl-C ends it and says where the run and the playbook disagreed.")
