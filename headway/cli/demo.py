"""`headway demo`: a whole run on a sample repository, with a scripted model and a worker process killed on purpose."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from headway.cli.console import open_console, say
from headway.cli.needs import need_git
from headway.cli.running import run_async


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's folder and say where it is.")] = False,
) -> None:
    """Show a whole run in about a minute, without key or network.

    It is a REHEARSAL: a script plays the model. Nothing of yours is touched.
    """
    need_git()
    folder = Path(tempfile.mkdtemp(prefix="headway-demo-"))
    # What failed is kept, because its logs say why.
    code = 1
    try:
        code = run_async(_demo(folder))
    except KeyboardInterrupt:
        code = 0
        raise
    finally:
        _clear(folder, keep=keep or code != 0)
    raise typer.Exit(code)


async def _demo(folder: Path) -> int:
    from headway.cli.demo_show import Show

    # The commands of the sample call python3, which may be nowhere but beside this interpreter.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return await Show(folder, open_console()).play()


def _clear(folder: Path, *, keep: bool) -> None:
    if keep:
        say(f"Kept in {folder}: repository/ is the sample, home/ the state and the logs.")
    else:
        shutil.rmtree(folder, ignore_errors=True)
