"""Lines of a log that begin with the time: everything that a process prints, its tracebacks and warnings too."""

import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, TextIO, cast

FORM = "%Y-%m-%d %H:%M:%S"
"""Local time: a log lies on the machine whose clock its reader sees. It sorts as text."""


class TimedLines:
    """A text stream that puts the time before each line, when the line begins. Everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._begins = True

    def write(self, text: str) -> int:
        """Write text; the number of its characters, without those of the times.

        Raises:
            OSError: The stream takes nothing, such as on a full disk.
        """
        with self._lock:
            now = f"{time.strftime(FORM)} "
            begins, self._begins = self._begins, text.endswith("\n") if text else self._begins
            inner = text.removesuffix("\n").replace("\n", f"\n{now}") + ("\n" if text.endswith("\n") else "")
            self._stream.write(f"{now}{inner}" if begins and text else inner)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def time_lines() -> None:
    """Put the time before each line that this process prints from now on."""
    sys.stdout, sys.stderr = (cast("TextIO", TimedLines(stream)) for stream in (sys.stdout, sys.stderr))
