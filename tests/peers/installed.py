"""Servers of others, from their registries, in environments of their own below the user's cache folder.

They are made once and kept. Where a registry cannot be reached, the test that needs one is skipped, and says so.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

OWN = dict(os.environ)
"""The environment before a test changes it: registries are found by the user's own settings."""
CACHE = Path(OWN.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway-peers"
INSTALL_S = 1200
START_S = 180


def python_of(name: str, *packages: str) -> Path:
    """The interpreter of an environment with these packages from PyPI."""
    folder = _folder(name, packages)

    def make() -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])

    _made(folder, make)
    return folder / "bin" / "python"


def npm_of(name: str, *packages: str) -> Path:
    """The folder of commands of these packages from the npm registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = _folder(name, packages)

    def make() -> None:
        folder.mkdir(parents=True)
        _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages])

    _made(folder, make)
    return folder / "node_modules" / ".bin"


@contextmanager
def serving(command: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server of one's own while the block runs; its root address."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=OWN | dict(env or {}))
        try:
            ends = time.monotonic() + START_S
            while not _listens(port):
                said = log.read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"{command[0]} ended: {said}"
                assert time.monotonic() < ends, f"{command[0]} does not listen: {said}"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _folder(name: str, packages: Sequence[str]) -> Path:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return CACHE / f"{name}-{hashlib.sha256(repr((python, packages)).encode()).hexdigest()[:10]}"


def _made(folder: Path, make: Callable[[], None]) -> None:
    ready = folder / "ready"
    if ready.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        make()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        pytest.skip(f"{folder.name} cannot be installed: {said[-1] if said else error}")
    ready.touch()


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S, env=OWN)
