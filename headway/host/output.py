"""Lines that a worker process writes to its log or terminal."""

from contextlib import suppress

from headway.domain.printable import for_terminal


def show(event: object) -> None:
    """Print an event as a line. A log that cannot be written ends nothing."""
    if event:
        with suppress(OSError):
            # It may quote a server, and is read on a terminal.
            print(for_terminal(str(event)), flush=True)  # noqa: T201 - to its log
