"""The command `headway` as a process of its own, beside a test that goes on meanwhile."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The message of a command that was refused: on stderr, without a traceback, with exit code 2."""
        assert self.code == 2, self
        assert "Traceback" not in self.err
        assert self.err.startswith("headway: ")
        return self.err


async def headway(home: Path, *arguments: str, **env: str) -> Said:
    """Run the command to its end; nobody is there to answer a question."""
    process = await start(home, *arguments, **env)
    out, err = await process.communicate()
    return Said(process.returncode or 0, out.decode(), err.decode())


async def start(home: Path, *arguments: str, **env: str) -> asyncio.subprocess.Process:
    """The command, begun."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "headway.cli.app",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(home), "COLUMNS": "120", **env},
    )
