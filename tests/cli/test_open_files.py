"""Hundreds of agents in one process need more open files than a shell's usual limit."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headway.host.supervisor_state import read_state
from headway.host.worker_roles import ROLES
from headway.rehearsal.playbook import Playbook
from tests.cli.test_app import ROOT
from tests.support.repositories import make_repository
from tests.support.site import machine

ASKED = "import json; from headway.system import open_files as o; print(o.allow(), [f.state for f in o.findings(100)])"


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "state"),
    [(256, 4096, 4096, "good"), (256, 512, 512, "lacking"), (4096, 4096, 4096, "good")],
)
def test_a_process_allows_itself_all_that_it_may(soft: int, hard: int, allowed: int, state: str) -> None:
    shell = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$0" -c "$1"'
    said = subprocess.run(
        ["bash", "-c", shell, sys.executable, ASKED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split(maxsplit=1) == [str(allowed), f"['{state}']\n"]


async def test_worker_processes_that_a_shell_starts_hold_what_the_machine_allows(home: Path, tmp_path: Path) -> None:
    here = psutil.Process()
    soft, hard = here.rlimit(psutil.RLIMIT_NOFILE)
    here.rlimit(psutil.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        async with machine(home, make_repository(tmp_path / "repository", 1), Playbook(name="none")):
            state = read_state(home)
            assert state is not None
            for role in ROLES:
                held = psutil.Process(state.children[role].pid).rlimit(psutil.RLIMIT_NOFILE)
                assert held == (min(65_536, hard), hard), role
    finally:
        here.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
