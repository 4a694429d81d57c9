"""Ctrl-C at any moment of a command's start is no traceback."""

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.test_app import ROOT


@pytest.mark.parametrize("module", ["typer", "temporalio", "headway.cli.app"])
def test_ctrl_c_while_modules_are_loaded_is_no_traceback(module: str, tmp_path: object) -> None:
    program = (
        "import builtins, os, signal\n"
        "real = builtins.__import__\n"
        "def load(name, *more):\n"
        f"    if name.startswith({module!r}): os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *more)\n"
        "from headway.cli.entry import main\n"
        "builtins.__import__ = load\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HEADWAY_HOME": str(tmp_path)}
    argv = [sys.executable, "-c", program, "status"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert done.returncode in {-signal.SIGINT, 130}
    assert "Traceback" not in done.stderr


HEAVY = ("pydantic", "temporalio", "rich", "asyncio", "yaml", "psutil", "openai")


@pytest.mark.parametrize(("asked", "allowed"), [("--version", ""), ("down -h", "pydantic rich psutil asyncio yaml")])
def test_a_command_loads_no_module_of_another(asked: str, allowed: str, tmp_path: object) -> None:
    """Tests, scripts and shells start it hundreds of times, and its modules took four fifths of its start."""
    program = (
        "import atexit, sys\n"
        f"sys.argv = ['headway', *{asked.split()!r}]\n"
        f"heavy = lambda: [name for name in {HEAVY!r} if name in sys.modules]\n"
        "import headway.system.process_exit as leaving\n"
        "leaving.leave = lambda code: print('loaded', *heavy(), [n for n in sys.modules if n == 'headway.cli.run'])\n"
        "from headway.cli.app import main\n"
        "main()\n"
    )
    argv = [sys.executable, "-c", program]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    *_, last = done.stdout.splitlines()
    assert last.startswith("loaded"), done
    assert last.endswith("[]")
    assert set(last.split()[1:-1]) <= set(allowed.split())
