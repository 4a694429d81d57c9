"""`headway up`: the service and the worker processes under one supervisor."""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.preflight import need_git, need_model
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.host.home import home_from
from headway.host.worker_roles import ALLOW_WEAK, SKIP_RUN, WEAK
from headway.system.timed_lines import time_lines

if TYPE_CHECKING:
    from headway.host.supervisor_state import SupervisorState

TOLD_EVERY_S = 150.0
LOG = "up.log"


@dataclass(frozen=True)
class _Asked:
    """Options that go on to the worker processes."""

    agents: int | None
    skip_runs: tuple[str, ...]
    allow_weak: bool


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Go to the background once everything is ready.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Settings of the local service, instead of the shipped temporal-dev.yaml.")
    ] = None,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Number of workers and checks that run at once on this machine.")
    ] = None,
    skip_run: Annotated[list[str] | None, typer.Option(metavar="NAME", help=SKIP_RUN)] = None,
    allow_weak: Annotated[bool, typer.Option(ALLOW_WEAK, help=WEAK)] = False,
) -> None:
    """Start the local Temporal service and the worker processes, and keep them running.

    When TEMPORAL_ADDRESS or a temporal.toml profile names a service, that one is used and none is started.
    """
    need_git()
    need_model()
    home = home_from()
    asked = _Asked(agents, tuple(skip_run or ()), allow_weak)
    if detach:
        _detach(home, config, asked)
    else:
        run_async(_serve(home, config, asked))


async def _serve(home: Path, config: Path | None, asked: _Asked) -> None:
    from headway.host.child_event import ChildEvent
    from headway.host.connection import target_of
    from headway.host.local_site import join_service, start_service, start_workers
    from headway.host.service_settings import find_settings, load_settings
    from headway.host.supervisor import Supervisor

    def tell(event: ChildEvent) -> None:
        if event.again or event.what not in {"started", "stopped"}:
            _tell(str(event), err=True)

    settings = load_settings(find_settings(config))
    target = target_of(home)
    async with Supervisor(home, on_event=tell) as supervisor:
        site = await (join_service(supervisor, target) if target.named else start_service(supervisor, settings))
        _tell(f"Temporal   {site.address}" + ("" if not target.named else "  (as TEMPORAL_ADDRESS or profile say)"))
        await start_workers(supervisor, site, asked.agents, skip_runs=asked.skip_runs, allow_weak=asked.allow_weak)
        for line in _ready(home, site.ui_url):
            _tell(line)
        await supervisor.wait()
        _tell("Stopping.")


def _tell(text: str, *, err: bool = False) -> None:
    """Show a line. A terminal that is gone, or a full disk under a redirection, ends no service."""
    with suppress(OSError):
        say(text, err=err)


def _ready(home: Path, ui_url: str | None) -> list[str]:
    lines = [f"Web UI     {ui_url}"] if ui_url else []
    return [*lines, f"State      {home}", "Ready. Start a run with `headway run REPO INSTRUCTIONS`."]


def _detach(home: Path, config: Path | None, asked: _Asked) -> None:
    """Fork, let the child serve in a session of its own, and return when it is ready."""
    from headway.host.child_process import tail
    from headway.host.supervisor_state import read_state

    if (running := read_state(home)) is not None and "ready" in running.facts:
        say(f"Already up (process {running.pid}); this call changes nothing of it.")
        _say_ready(home, running)
        return
    logs = home / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{logs}: cannot be made: {error.strerror}", "Make room, or allow it.") from error
    log = logs / LOG
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _in_background(log, home, config, asked)
    told_at = time.monotonic() + TOLD_EVERY_S
    while True:
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            raise UserError(f"It did not start. {log} ends with:\n{tail(log)}")
        state = read_state(home)
        if state is not None and state.pid == child and "ready" in state.facts:
            _say_ready(home, state)
            return
        if time.monotonic() >= told_at:
            told_at += TOLD_EVERY_S
            _tell(f"Still starting; see {log}. `headway down` ends it.", err=True)
        time.sleep(0.1)


def _say_ready(home: Path, state: "SupervisorState") -> None:
    say(f"Temporal   {state.facts['address']}")
    ui = state.facts.get("ui", "none")
    for line in _ready(home, None if ui == "none" else ui):
        say(line)
    say("Stop it with `headway down`.")


def _in_background(log: Path, home: Path, config: Path | None, asked: _Asked) -> None:
    os.setsid()
    null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for new, old in ((null, 0), (out, 1), (out, 2)):
        os.dup2(new, old)
    time_lines()
    code = 0
    try:
        run_async(_serve(home, config, asked))
    except UserError as error:
        say(str(error), err=True)
        code = 2
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
