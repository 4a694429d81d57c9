"""A git of one's own for every test, without the configuration of this machine; a user, a repository, a run."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.git.workspace.workspace_backend import WorkspaceBackend, overlay_trouble
from tests.git.ground import Ground, git, make_repository
from tests.git.test_splice import Trees
from tests.support.environment import own_git

__all__ = ["own_git"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The user's repository: three files, on branch `main`, which is checked out."""
    return make_repository(
        tmp_path / "source",
        {"README.md": "hello\n", "src/app.py": "".join(f"line {n}\n" for n in range(20)), ".gitignore": "*.log\n"},
    )


@pytest.fixture
def rung(request: pytest.FixtureRequest, tmp_path: Path) -> WorkspaceBackend | None:
    """How workspaces are made: as the test asks by its parameter, else the best way of this machine."""
    asked: WorkspaceBackend | None = getattr(request, "param", None)
    if asked == "overlay" and (trouble := overlay_trouble(tmp_path)):
        pytest.skip(f"no overlays here: {trouble}")
    return asked


@pytest.fixture
def ground(tmp_path: Path, source: Path, rung: WorkspaceBackend | None) -> Ground:
    """A prepared run on `source`."""
    return Ground.prepare(tmp_path / "state", source, rung)


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    """A repository of nothing but trees."""
    made = Trees(tmp_path / "trees.git")
    yield made
    made.reader.close()


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Peaks of the memory of all git processes, in megabytes, as the kernel tells when each is waited for."""
    found = [0]

    class Measured(subprocess.Popen[bytes]):
        def _try_wait(self, flags: int) -> tuple[int, int]:
            pid, status, used = os.wait4(self.pid, flags)
            found.append(used.ru_maxrss >> 10)
            return pid, status

    monkeypatch.setattr(subprocess, "Popen", Measured)
    return found


@pytest.fixture
def url(source: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the same repository, served by git's own daemon."""
    served = tmp_path / "served"
    git(tmp_path, "clone", "--quiet", "--bare", str(source), str(served / "repo.git"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["--export-all", "--enable=receive-pack", "--listen=127.0.0.1", f"--port={port}", f"--base-path={served}"]
    daemon = subprocess.Popen(["git", "daemon", *serve], stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert daemon.poll() is None
        yield f"git://127.0.0.1:{port}/repo.git"
    finally:
        # The daemon that answers is a child of `git daemon`; both end by SIGTERM.
        daemon.terminate()
        daemon.communicate()
