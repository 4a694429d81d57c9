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
