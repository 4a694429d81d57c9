"""The whole of Headway as a newcomer meets it: real service, real processes, real git, a scripted model."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml

from headway.cli.demo_run.sample_repository import CHECK, PLAYBOOK, make_sample
from headway.git.workspace import overlay
from headway.host.service_settings import find_settings
from headway.host.supervisor_state import read_state
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook_reader import read_playbook
from headway.system.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
TIME = re.compile(r"(time=)?20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
HEADWAY = [sys.executable, "-m", "headway.cli.app"]


def environment(**more: str) -> dict[str, str]:
    # As in an activated environment: the sample's commands call python3.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "PATH": path, **more}


def headway(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HEADWAY, *arguments], capture_output=True, text=True, timeout=150, check=False, env=environment(**env)
    )


def until(process: "subprocess.Popen[str]", moment: str) -> str:
    """Everything that a process prints, to the line that holds these words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if moment in line:
            break
    return said


def outline(line: str) -> str:
    """A line without what differs from time to time: times, numbers, commits, order, and what an agent is at."""
    line = line.replace("└", "├")  # the branch of the agent that happens to come last
    line = re.sub(r"^\d\d:\d\d ", "", line).partition("': ")[0]
    return re.sub(r"\b[0-9a-f]{7,12}\b|\d+", "N", line)


def test_the_demo_survives_the_kill_stays_to_be_looked_at_and_ends_with_passing_tests(tmp_path: Path) -> None:
    env = environment(TMPDIR=str(tmp_path), TEMPORAL_ADDRESS="far.example.org:7233", OPENAI_API_KEY="sk-mine")
    argv = [*HEADWAY, "demo", "--stay"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(argv, text=True, env=env, **pipes) as demo:  # type: ignore[call-overload]
        out = until(demo, "Press Enter")
        _, _, offered = out.partition("everything of the demo is still up\n")
        page, *commands = [line.strip() for line in offered.splitlines() if line.startswith("  ")]
        with urllib.request.urlopen(page.split()[-1]) as web:
            assert web.status == 200
        script = "\n".join(command.replace("less ", "cat ") for command in commands)
        around = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, env=env, check=False)
        demo.send_signal(signal.SIGINT)
        out += demo.stdout.read()

    assert around.returncode == 0, around
    assert re.search(r"^demo: done, and the check passes on the trunk$", around.stdout, re.MULTILINE), around.stdout
    assert "replays deterministically" in around.stdout
    assert "# Run demo" in around.stdout
    assert demo.returncode == 0, out
    assert "Traceback" not in out
    assert "REHEARSAL" in out
    killed = re.search(r"kill -9 (\d+)", out)
    assert killed
    assert f"process agents (pid {killed[1]}) died" in out
    assert "process agents started again" in out
    assert "demo: done, and the check passes on the trunk" in out
    assert "headway/demo/main at" in out
    assert "8 commits" in out
    assert "conflict on textstats/cli.py: back to 'Add lines to the command line'" in out
    assert "Ran 15 tests" in out
    assert not list(tmp_path.iterdir()), "the demo leaves nothing behind"
    shown = {outline(line) for line in out.splitlines()}
    _, _, block = (ROOT / "README.md").read_text().partition(".venv/bin/headway demo\n")
    promised = [line for line in block.partition("```")[0].splitlines() if line != "…"]
    assert [line for line in promised if outline(line) not in shown] == [], "the README shows what is printed"


def test_up_run_status_and_down(home: Path, tmp_path: Path) -> None:
    repository = make_sample(tmp_path / "repository")
    config = tmp_path / "mine.yaml"
    settings = yaml.safe_load(find_settings().read_text())
    settings["server"]["port"], settings["server"]["ui_port"] = free_ports(2)
    config.write_text(yaml.safe_dump(settings))

    # The sample as it is shown to people takes its time.
    with Rehearsal(read_playbook(PLAYBOOK).model_copy(update={"latency_ms": (10, 50)})) as rehearsal:
        env = {
            "HEADWAY_HOME": str(home),
            "OPENAI_BASE_URL": rehearsal.url,
            "HEADWAY_PLANNER_MODEL": "rehearsal",
            "HEADWAY_WORKER_MODEL": "rehearsal",
        }
        told_before = home / "logs" / "up.log"
        told_before.parent.mkdir()
        told_before.write_text("2026-01-01 00:00:00 of an earlier one\n")
        try:
            up = headway("up", "--detach", "--config", str(config), "--agents", "8", **env)
            assert up.returncode == 0, up.stderr
            assert f"http://127.0.0.1:{settings['server']['ui_port']}" in up.stdout
            state = read_state(home)
            assert state is not None
            pids = [child.pid for child in state.children.values() if child.pid]
            assert len(pids) == 4

            again = headway("up", "--detach", "--config", str(config), **env)
            assert again.returncode == 0
            assert f"Already up (process {state.pid})" in again.stdout
            own = told_before.read_text().splitlines()
            assert own[0].endswith("of an earlier one")
            assert own[-1].endswith("Ready. Start a run with `headway run REPO INSTRUCTIONS`.")

            run = headway("run", str(repository), "Make it useful.", "--name", "first", "--check", CHECK, **env)
            assert run.returncode == 0, run.stdout + run.stderr
            assert "first: done, and the check passes on the trunk" in run.stdout
            assert len(re.findall(r"^\d\d:\d\d landed ", run.stdout, re.MULTILINE)) == 8

            assert (
                "a run named 'first' is there already"
                in headway("run", str(repository), "Again.", "--name", "first", **env).stderr
            )
            listed = headway("status", **env).stdout
            assert re.search(r"^first .* done$", listed, re.MULTILINE)
            shown = headway("status", "first", **env).stdout
            assert re.search(r"1\.5 Add lines to the command line: [0-9a-f]{7}", shown)
            assert f"git -C {repository} merge headway/first/main" in shown
            assert "8 commits" in shown
            killed = state.children["agents"].pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            while "agents was started again (process " not in told_before.read_text():
                time.sleep(0.1)
            assert f"agents (process {killed}) was killed by SIGKILL (signal 9)." in told_before.read_text()
        finally:
            down = headway("down", **env)

    assert "Stopped." in down.stdout
    logs = {log.name: log.read_text().splitlines() for log in (home / "logs").iterdir()}
    assert set(logs) == {f"{name}.log" for name in ("up", "temporal", "workflows", "planning", "agents")}
    untimed = [line for lines in logs.values() for line in lines if not TIME.match(line)]
    assert not untimed
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("sample repository", signal.SIGTERM),
        ("process agents", signal.SIGINT),
        pytest.param("kill -9", signal.SIGINT, marks=pytest.mark.long),
    ],
)
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    """After the kill it has the most to clear up: workspaces of the killed process, mounted, and its commands."""
    env = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(
        [*HEADWAY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as demo:
        assert demo.stdout is not None
        said = until(demo, moment)
        demo.send_signal(number)
        said += demo.stdout.read()

    assert demo.returncode == 130, said
    assert "Traceback" not in said
    pids = [int(pid) for pid in re.findall(r"started \(pid (\d+)\)", said)]
    assert not pids or "interrupted: the demo's processes are stopped" in said
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not overlay.mounted_below(tmp_path)
    assert not list(tmp_path.iterdir())


LEFT = """
import subprocess, sys, time
from pathlib import Path
from headway.cli import demo
from headway.git.workspace import overlay
from headway.system.descendants import adopt_orphans
folder = Path(sys.argv[1])
adopt_orphans()
demo.ENDED_WITHIN_S = 0.3
line = f"(setsid sh -c 'n=0; while :; do n=$((n+1)); mkdir -p {folder}/$n; done' &)"
subprocess.run(["sh", "-c", line], check=True)
while not (folder / "9").exists():
    time.sleep(0.01)
if sys.argv[2:]:
    for name in ("layer", "upper", "scratch"):
        (folder / name).mkdir()
    (overlay.mount([folder / "layer"], folder / "upper", folder / "scratch") / "file").touch()
demo._clear(folder, keep=False)
print(folder.exists())
"""


def test_a_folder_is_removed_with_its_mounts_and_when_its_last_writer_has_ended(tmp_path: Path) -> None:
    """As a worker process leaves it that was killed: its keeper ends its commands a moment later."""
    folder = tmp_path / "demo"
    folder.mkdir()
    line = [sys.executable, "-c", LEFT, str(folder), *(["overlay"] if not overlay.trouble(tmp_path) else [])]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert not folder.exists()
