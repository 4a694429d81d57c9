"""The command `headway`."""

import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

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

app = typer.Typer(
    name="headway",
    help="Run a tree of LLM agents on one git repository, and lose nothing to a crash.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    up,
    down,
    check,
    doctor,
    run,
    status,
    pause,
    resume,
    limits,
    amend,
    reset,
    cancel,
    continue_,
    rm,
    gc,
    replay,
    worker,
    rehearse,
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


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
