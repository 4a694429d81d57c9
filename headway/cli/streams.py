"""Standard streams in every state in which a shell, cron or a service manager may hand them over."""

import io
import os
import sys


def prepare_streams() -> None:
    """Open what is closed, and let every text be written: what the encoding lacks is shown by its number.

    A closed descriptor would else be given to the next file that is opened, and output would go into it.
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
    """Why standard output takes nothing more, where that is what an error is about: a full disk, a closed pipe."""
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as why:
        return why.strerror
    return None
