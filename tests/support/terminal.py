"""A terminal of a given size, as a command sees it: what stands on its screen in the end, as text."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.command import ROOT

ERASES = re.compile(r"(?:\r|\x1b\[(?:\d*A|2K|\?25[lh]))*\x1b\[2K(?:\r|\x1b\[(?:\d*A|2K))*")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WITHIN_S = 60.0


async def on_terminal(
    home: Path, env: Mapping[str, str], *arguments: str, until: Callable[[str], bool] = lambda _: False,
    rows: int = 24, columns: int = 80,
) -> str:  # fmt: skip
    """The last picture of a command on a terminal: at its end, or when `until` is true of it and Ctrl-C ends it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headway.cli.app", *arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=home,
        start_new_session=True,
        env={**kept, "PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(home), "TERM": "xterm-256color", **env},
    )  # fmt: skip
    os.close(theirs)
    said, seen = "", ""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                said += (await asyncio.to_thread(os.read, ours, 1 << 16)).decode(errors="replace")
            except OSError:  # its last writer is gone
                break
            for whole in pictures(said)[-2:-1]:  # the last one may still be under way
                if until(whole) and not seen:
                    seen = whole
                    process.send_signal(signal.SIGINT)
        await process.wait()
    os.close(ours)
    return seen or pictures(said)[-1]


def pictures(said: str) -> list[str]:
    """What stood there after each redrawing."""
    return [ESCAPES.sub("", part).replace("\r", "") for part in ERASES.split(said)]


def labelled(text: str) -> dict[str, str]:
    """The text below each label: a word at the beginning of a line, and the indented lines after it."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        begun = re.match(r"([a-z]+) {2,}(.*)", line)
        label = begun[1] if begun else label
        found[label] = f"{found.get(label, '')}\n{begun[2] if begun else line.strip()}".strip()
    return found
