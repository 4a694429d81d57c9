"""Faults of the system, made for real: a library that is loaded before libc, with its counter in a shared file."""

import mmap
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("shim.c")
_SLOTS = 1 << 20
SIZE = (4 << 20) + 4096 + _SLOTS
_HEAD = struct.Struct("8Q")
_LOG = _HEAD.size + _SLOTS


def build(folder: Path) -> Path:
    """Compile the library; the test is skipped where there is no compiler, or no such loader."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here: apt install gcc libc6-dev")
    library = folder / "shim.so"
    made = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"the library cannot be built here: {made.stderr[:200]}")
    return library


def prepare(folder: Path, library: Path, below: Path) -> dict[str, str]:
    """The environment of a program whose calls on files `below` fail, and those of every git that it starts.

    Our git sees nothing of the environment but PATH; so a git of that name comes first there.
    """
    control, beside = folder / "control", folder / "bin"
    control.write_bytes(bytes(SIZE))
    beside.mkdir()
    preload = {"LD_PRELOAD": str(library), "FAULT_CONTROL": str(control), "FAULT_BELOW": str(below)}
    words = " ".join(f"{name}={value}" for name, value in preload.items())
    git = beside / "git"
    git.write_text(f'#!/bin/sh\n{words} exec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    return preload | {"PATH": f"{beside}:{os.environ['PATH']}"}


@dataclass
class Control:
    """The shared file, from inside of the program."""

    memory: mmap.mmap

    @classmethod
    def open(cls) -> "Control":
        with Path(os.environ["FAULT_CONTROL"]).open("r+b") as file:
            return cls(mmap.mmap(file.fileno(), SIZE))

    def by_number(self, first: int, every: int) -> None:
        """From now on the calls `first`, `first + every`, ... fail; with `every` 0 the first alone."""
        self.memory[: _HEAD.size] = _HEAD.pack(1, first, every, 0, 0, 0, 0, 0)

    def by_target(self, times: int, share: int = 1) -> None:
        """From now on each kind of call on each file, or one in `share`, fails so often, every other time."""
        self.memory[: _HEAD.size] = _HEAD.pack(1, share, 0, 0, 0, 0, times, 0)

    def failed(self) -> int:
        """Calls that have failed so far."""
        return int(_HEAD.unpack(self.memory[: _HEAD.size])[4])

    def end(self) -> dict[str, Any]:
        """No call fails any more; `calls` made, `targets` of them, and a line for each that `failed`: kind, error,
        path.
        """
        self.memory[:8] = struct.pack("Q", 0)
        _, _, _, calls, _, used, _, targets = _HEAD.unpack(self.memory[: _HEAD.size])
        log = bytes(self.memory[_LOG : _LOG + min(used, 4 << 20)])
        failed = [line for line in log.decode(errors="replace").split("\n") if line]
        return {"calls": calls, "targets": targets, "failed": failed}
