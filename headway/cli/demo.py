"""`headway demo`: a whole run on a sample repository, with a scripted model and a worker process killed on purpose."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from headway.cli.console import open_console, say
from headway.cli.preflight import need_git
from headway.cli.running import run_async
from headway.system.descendants import adopt_orphans, end_children

ENDED_WITHIN_S = 5.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's folder and say where it is.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Leave everything up at the end until Enter.")] = False,
) -> None:
    """Show a whole run in about a minute, without key or network.

    It is a REHEARSAL: a script plays the model. Nothing of yours is touched.
    """
    need_git()
    adopt_orphans()
    _end_as_by_ctrl_c()
    folder = Path(tempfile.mkdtemp(prefix="headway-demo-"))
    # A folder of a failed demo is kept, because its logs say why.
    code = 1
    try:
        code = run_async(_demo(folder, stay=stay))
    except KeyboardInterrupt:
        code = 0
        raise
    finally:
        with _uninterrupted():
            _clear(folder, keep=keep or code != 0)
    raise typer.Exit(code)


async def _demo(folder: Path, *, stay: bool) -> int:
    from headway.cli.demo_run.steps import Show

    # The commands of the sample call python3, which may exist only next to this interpreter.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return await Show(folder, open_console(), stay=stay).play()


def _end_as_by_ctrl_c() -> None:
    """Have a signal that ends programs clear up first, as Ctrl-C does."""
    for number in _ENDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore those signals for the moment that clearing up takes."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clear(folder: Path, *, keep: bool) -> None:
    """Remove the folder, once nothing writes in it any more.

    The commands of a worker process that was killed end a moment after it. Its workspaces stay mounted.
    """
    from headway.git.workspace.overlay import unmount_below
    from headway.system.files import delete

    end_children(ENDED_WITHIN_S)
    try:
        unmount_below(folder)
        if not keep:
            delete(folder)
    except OSError as error:
        say(f"{folder} could not be removed: {error.strerror}", err=True)
    if keep:
        say(f"Kept in {folder}: repository/ is the sample, home/ the state and the logs.")
