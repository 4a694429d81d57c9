"""The command `headway`."""

import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import headway
from headway.cli.console import say
from headway.cli.streams import prepare_streams, unwritten
from headway.domain.errors import UserError
from headway.system.process_exit import leave
from headway.system.search_path import complete_search_path

USER_ERROR = 2
INTERRUPTED = 130

DOCUMENTS = "Documents: README.md, and docs/ beside it: operations.md (reference), instructions.md, rehearsal.md."

GROUPS: dict[str, tuple[str, ...]] = {
    "Try and prepare": ("demo", "doctor", "check"),
    "Service": ("up", "down", "worker"),
    "Runs": ("run", "status", "continue", "rm", "gc"),
    "Steer a run that goes on": ("pause", "resume", "limits", "amend", "reset", "cancel"),
    "Look back, and rehearse": ("replay", "rehearse"),
}
EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("headway demo", "headway demo --stay"),
    "doctor": ("headway doctor", "headway doctor --json"),
    "check": ("headway check instructions.md", "headway check instructions.md --input more.json"),
    "up": ("headway up --detach", "headway up --agents 16"),
    "down": ("headway down",),
    "worker": ("headway worker", "headway worker --only agents --agents 16"),
    "run": (
        "headway run ~/src/project @instructions.md --name first --check 'make test'",
        "headway run https://example.org/project.git 'Port the tests to pytest.' --detach",
        "headway run --input input.json --name second",
        "headway run ~/src/project @instructions.md --detach --quiet",
    ),
    "status": (
        "headway status",
        "headway status first --watch",
        "headway status first --json | jq .attention",
        "headway status first --exit-status",
    ),
    "continue": ("headway continue first", "headway continue first 'Now the documents.' --as docs"),
    "rm": ("headway rm first", "headway rm first --yes"),
    "gc": ("headway gc", "headway gc --yes"),
    "pause": ("headway pause first --why lunch", "headway pause first 1.3", "headway pause first 1.0/2.4 --now"),
    "resume": ("headway resume first", "headway resume first 1.3"),
    "limits": ("headway limits first --tokens 40M", "headway limits first --usd 30 --hours 48"),
    "amend": ("headway amend first 'Leave the old endpoint alone.'", "headway amend first @more.md"),
    "reset": ("headway reset first", "headway reset first --planner 1.0 --turn 3"),
    "cancel": ("headway cancel first --why 'wrong branch'",),
    "replay": ("headway replay first", "headway replay first --decisions"),
    "rehearse": ("headway rehearse playbook.yaml --port 9000", "headway rehearse --generate tasks=40,levels=3"),
}


class _Quiet:
    """Help without the word `<bool>` at each flag, which takes no value."""

    def get_params(self, context: Any) -> list[Any]:
        """The parameters, as help shows them."""
        params: list[Any] = super().get_params(context)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_Quiet, TyperCommand):
    """One command."""


class Group(_Quiet, TyperGroup):
    """The command `headway` itself."""


def application(asked: Sequence[str] = ()) -> typer.Typer:
    """The command line.

    Args:
        asked: Arguments of this call. When they begin with a command, only that one is loaded: the modules of all
            commands take longer to load than most commands take to run.
    """
    first = asked[0] if asked else ""
    wanted = {first} & set(EXAMPLES) if first in {*EXAMPLES, "--version"} else None
    app = typer.Typer(
        name="headway",
        cls=Group,
        help="Run a tree of LLM agents on one git repository, and lose nothing to a crash.",
        epilog=DOCUMENTS,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(common)
    for group, names in GROUPS.items():
        for name in names if wanted is None else set(names) & wanted:
            work = command(name)
            examples = "\n\n".join(("Examples:", *EXAMPLES[name]))
            app.command(name, cls=Command, help=_flowing(work), rich_help_panel=group, epilog=examples)(work)
    return app


def command(name: str) -> Callable[..., None]:
    """The function of a command. `continue` is a word of Python, so its module and function end in an underscore."""
    word = f"{name}_" if name == "continue" else name
    found: Callable[..., None] = getattr(import_module(f"headway.cli.{word}"), word)
    return found


def _flowing(work: Callable[..., None]) -> str:
    """A docstring whose paragraphs are filled to the width of the terminal, not to that of the source."""
    paragraphs = (inspect.getdoc(work) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"headway {headway.__version__}")
        raise typer.Exit


def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a tree of LLM agents on one git repository, and lose nothing to a crash."""


def main() -> NoReturn:
    """Run the command. A problem that only the user can solve is one message on stderr, with exit code 2."""
    prepare_streams()
    complete_search_path()
    leave(_code_of(_run))


def _run() -> None:
    application(sys.argv[1:])()


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
