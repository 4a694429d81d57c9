"""`headway demo`: a whole run on a sample repository, with a scripted model and a worker process killed on purpose."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

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
    with _folder(keep=keep) as folder:
        code = run_async(_demo(folder))
    raise typer.Exit(code)


async def _demo(folder: Path) -> int:
    from rich.console import Console

    from headway.cli.demo_show import Show

    # The commands of the sample call python3, which may be nowhere but beside this interpreter.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return await Show(folder, Console()).play()


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="headway-demo-"))
    try:
        yield folder
    finally:
        if keep:
            typer.echo(f"Everything is kept in {folder}: repository/ is the sample, home/ the state and the logs.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
