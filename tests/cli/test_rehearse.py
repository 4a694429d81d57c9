"""`headway rehearse` as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def rehearse(*arguments: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "headway.cli.app", "rehearse", *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)


def test_a_generated_run_is_served_until_ctrl_c_and_what_was_not_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("{name: small, generate: {tasks: 3}, faults: [{kind: html, share: 0.5}]}")
    for arguments, name in (
        (["--generate", "tasks=3,latency_ms=[1, 2]"], "generated"),
        ([str(tmp_path / "run.yaml")], "small"),
    ):
        with rehearse(*arguments) as process:
            assert process.stdout is not None
            assert f"'{name}'" in process.stdout.readline()
            url = re.search(r"http://\S+", process.stdout.readline())
            assert url is not None
            with urllib.request.urlopen(url[0].removesuffix("/v1") + "/rehearsal/report") as answer:
                assert json.load(answer)["playbook"] == name
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 4
        assert "task 'Write part 00002': of its 5 calls, 1 to 5 were never asked for" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give either a playbook or --generate."),
        (["some.yaml", "--generate", "tasks=3"], "Give either a playbook or --generate."),
        (["--generate", "taks=3"], "--generate: taks: is not a field; did you mean 'tasks'?"),
        (["--generate", "tasks=[3"], "--generate: is not YAML"),
        (["none.yaml"], "none.yaml"),
    ],
)
def test_what_cannot_be_served_is_told(arguments: list[str], told: str) -> None:
    with rehearse(*arguments) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert told in err
    assert out == ""
