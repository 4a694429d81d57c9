"""Prints for all commands. Escape sequences that a model or a server wrote never reach the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from headway.domain.printable import for_terminal

if TYPE_CHECKING:
    from rich.console import Console


PIPED_COLUMNS = 100_000
QUIET = "Print the result alone: how the run ended, or with --detach its name."
"""The help of `--quiet`."""


def say(text: str, *, err: bool = False) -> None:
    """Print a line.

    Args:
        text: May hold what a model or a server wrote.
        err: On standard error.
    """
    typer.echo(for_terminal(text), err=err)


def open_console() -> "Console":
    """A console of rich on standard output that shows control characters instead of sending them to the terminal."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        """Shows all control characters; rich itself removes BEL, BS, VT, FF and CR, and sends the others."""

        def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
            """The printed pieces. Those that rich itself makes are marked as controls and pass unchanged."""
            for piece in super().render(*args, **options):
                yield piece if piece.control else Segment(for_terminal(piece.text), piece.style)

    console = SafeConsole()
    if not console.is_terminal:
        console.width = PIPED_COLUMNS  # a pipe's output is read by programs and copied by people: lines are not wrapped
    return console
