"""A worker process that dies takes its commands along, whatever walls stand around them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from headway.sandbox.backends.backends import Backends
from tests.sandbox.escape.conftest import WALLED, at
from tests.support.waiting import wait_until

HOST = """
import asyncio, os, sys
from pathlib import Path
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.backends import network as networks
from headway.sandbox.backends.bubblewrap import Bubblewrap, programs
from headway.sandbox.local import LocalSandbox
from headway.sandbox.resources import Resources
from headway.sandbox.runner import Command
from headway.sandbox.backends.host_binds import SYSTEM, HostBinds
from headway.sandbox.spec import SandboxSpec
pin, state, line, network = sys.argv[1:]
workspace = Path(state) / "mine"
workspace.mkdir()
# Without the trials and the search for what is private, which would take most of the time.
seen = HostBinds(tuple(filter(os.path.lexists, map(Path, SYSTEM))), ())
level = Bubblewrap(seen, programs()[0], networks.helper() or "")
sandbox = LocalSandbox(level, Resources(Groups.detect() if pin.endswith("cgroup") else None), pin)
asyncio.run(sandbox.run(Command(line, workspace, 600.0, SandboxSpec("a", workspace, network=bool(network)))))
"""
LINES = {
    "leader": "touch there; exec sleep {}",
    "child": "sleep {} & touch there; wait",
    "daemon": "(setsid env -i sleep {} &); touch there; sleep 600",
    "network": "touch there; exec sleep {}",
}


@pytest.mark.parametrize("line", sorted(LINES))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
@pytest.mark.parametrize("pin", WALLED)
def test_commands_die_with_the_process_that_runs_them(
    levels: Backends, tmp_path: Path, pin: str, number: signal.Signals, line: str
) -> None:
    refused = at(levels, pin).refuses_network
    if line == "network" and refused:
        pytest.skip(refused)
    seconds = own_seconds()
    network = "yes" if line == "network" else ""
    with hosting(tmp_path, pin, LINES[line].format(seconds), network) as host:
        try:
            wait_until((tmp_path / "mine/there").exists)
            wait_until(lambda: bool(running(seconds)))
        finally:
            host.send_signal(number)
    wait_until(lambda: not running(seconds))


def hosting(state: Path, pin: str, line: str, network: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", HOST, pin, str(state), line, network])


def own_seconds() -> str:
    """A time to sleep that no other process of the machine sleeps."""
    return f"{600 + os.getpid() / 1e8 + time.monotonic() % 1 / 1e3:.9f}"


def parent_of(pid: int) -> psutil.Process:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    return parent


def running(seconds: str) -> list[int]:
    every = psutil.process_iter(["cmdline"])
    return [process.pid for process in every if process.info["cmdline"] == ["sleep", seconds]]
