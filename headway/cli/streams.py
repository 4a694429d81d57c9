"""Prepares the standard streams, which a shell, cron or a service manager may pass closed or with any encoding."""

import io
import os
import sys


def prepare_streams() -> None:
    """Open closed streams, and print characters that the encoding lacks as escapes.

    The next file that is opened would otherwise get a closed stream's descriptor, and output would go into that file.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard input, output and error
        os.set_inheritable(handle, True)
    os.close(handle)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as we live
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def unwritten(error: BaseException) -> str | None:
    """The reason why standard output cannot be written, such as a full disk or a closed pipe; None for other errors."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as why:
        return why.strerror
    return None
