"""The command `headway`."""

import traceback
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

import headway
from headway.cli.amend import amend
from headway.cli.cancel import cancel
from headway.cli.check import check
from headway.cli.console import say
from headway.cli.continue_ import continue_
from headway.cli.demo import demo
from headway.cli.doctor import doctor
from headway.cli.down import down
from headway.cli.gc import gc
from headway.cli.leaving import leave
from headway.cli.limits import limits
from headway.cli.pause import pause
from headway.cli.rehearse import rehearse
from headway.cli.replay import replay
from headway.cli.reset import reset
from headway.cli.resume import resume
from headway.cli.rm import rm
from headway.cli.run import run
from headway.cli.status import status
from headway.cli.streams import prepare_streams, unwritten
from headway.cli.up import up
from headway.cli.worker import worker
from headway.domain.errors import UserError
from headway.system.search_path import complete_search_path

USER_ERROR = 2
INTERRUPTED = 130

DOCUMENTS = "Documents: README.md, and docs/ beside it: operations.md (reference), instructions.md, rehearsal.md."

app = typer.Typer(
    name="headway",
    help="Run a tree of LLM agents on one git repository, and lose nothing to a crash.",
    epilog=DOCUMENTS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Try and prepare": (demo, doctor, check),
    "Service": (up, down, worker),
    "Runs": (run, status, continue_, rm, gc),
    "Steer a run that goes on": (pause, resume, limits, amend, reset, cancel),
    "Look back, and rehearse": (replay, rehearse),
}
EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    demo: ("headway demo", "headway demo --stay"),
    doctor: ("headway doctor", "headway doctor --json"),
    check: ("headway check instructions.md", "headway check instructions.md --input more.json"),
    up: ("headway up --detach", "headway up --agents 16"),
    down: ("headway down",),
    worker: ("headway worker", "headway worker --only agents --agents 16"),
    run: (
        "headway run ~/src/project @instructions.md --name first --check 'make test'",
        "headway run https://example.org/project.git 'Port the tests to pytest.' --detach",
        "headway run --input input.json --name second",
    ),
    status: (
        "headway status",
        "headway status first --watch",
        "headway status first --json",
        "headway status first --exit-status",
    ),
    continue_: ("headway continue first", "headway continue first 'Now the documents.' --as docs"),
    rm: ("headway rm first", "headway rm first --yes"),
    gc: ("headway gc", "headway gc --yes"),
    pause: ("headway pause first --why lunch", "headway pause first 1.3", "headway pause first 1.0/2.4 --now"),
    resume: ("headway resume first", "headway resume first 1.3"),
    limits: ("headway limits first --tokens 40M", "headway limits first --usd 30 --hours 48"),
    amend: ("headway amend first 'Leave the old endpoint alone.'", "headway amend first @more.md"),
    reset: ("headway reset first", "headway reset first --planner 1.0 --turn 3"),
    cancel: ("headway cancel first --why 'wrong branch'",),
    replay: ("headway replay first", "headway replay first --decisions"),
    rehearse: ("headway rehearse playbook.yaml --port 9000", "headway rehearse --generate tasks=40,levels=3"),
}
for group, commands in GROUPS.items():
    for command in commands:
        examples = "\n\n".join(("Examples:", *EXAMPLES[command]))
        app.command(command.__name__.rstrip("_"), rich_help_panel=group, epilog=examples)(command)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"headway {headway.__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a tree of LLM agents on one git repository, and lose nothing to a crash."""


def main() -> NoReturn:
    """Run the command. What only the user can set right is one message on stderr and exit code 2, never a traceback."""
    prepare_streams()
    complete_search_path()
    leave(_code_of(app))


def _code_of(work: Callable[[], object]) -> int:
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UserError as error:
        say(f"headway: {error}", err=True)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a bug of ours, shown as one
        if (why := unwritten(error)) is not None:
            say(f"headway: the output cannot be written: {why}", err=True)
            return 1
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
