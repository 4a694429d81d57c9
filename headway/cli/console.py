"""The one way in which commands print. No escape sequence that a model or a server wrote reaches the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from headway.domain.printable import for_terminal

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, *, err: bool = False) -> None:
    """Print a line.

    Args:
        text: May hold what a model or a server wrote.
        err: On standard error.
    """
    typer.echo(for_terminal(text), err=err)


def open_console() -> "Console":
    """A console of rich on standard output that shows controls in what it is given instead of sending them."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        """rich takes out BEL, BS, VT, FF and CR, and sends every other control of a text to the terminal."""

        def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
            """The pieces of what is printed; those of rich itself are marked as controls and pass."""
            for piece in super().render(*args, **options):
                yield piece if piece.control else Segment(for_terminal(piece.text), piece.style)

    return SafeConsole()
