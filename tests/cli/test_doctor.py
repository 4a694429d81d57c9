"""`headway doctor`, and what starts only with a word of its user."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.cli import doctor
from headway.domain.diagnostic import Diagnostic
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import Playbook
from tests.cli.test_app import ROOT, headway
from tests.support.ordinary_user import as_ordinary_user, give, python_for


@pytest.fixture
def url() -> "Iterator[str]":
    with Rehearsal(Playbook(name="none")) as rehearsal:
        yield rehearsal.url


def test_it_shows_the_whole_machine_and_ends_well(home: Path, url: str) -> None:
    done = headway(home, "doctor", "--json", OPENAI_BASE_URL=url)
    found = [Diagnostic.model_validate(each) for each in json.loads(done.stdout)]
    assert {each.topic for each in found} >= {
        "sandbox",
        "control groups",
        "machine",
        "git",
        "temporal",
        "state folder",
        "model",
    }
    broken = [each for each in found if each.state == "broken"]
    assert done.returncode == (1 if broken else 0), done
    assert [each.topic for each in broken if each.topic != "sandbox"] == []


def test_what_does_not_work_is_told_with_its_remedy_by_exit_code_1(home: Path) -> None:
    done = headway(home, "doctor")
    assert done.returncode == 1
    assert "!!  model: No model endpoint" in done.stdout
    assert "headway demo" in done.stdout


@pytest.fixture
def users_folder() -> "Iterator[Path]":
    """A folder of an ordinary user; those of pytest lie in one that is private to root."""
    with tempfile.TemporaryDirectory() as made:
        for place in (Path(made), Path(made, "home"), Path(made, "state")):
            place.mkdir(exist_ok=True)
            give(place)
        Path(made, "home").chmod(0)
        yield Path(made)
        Path(made, "home").chmod(0o700)


def test_a_closed_home_is_one_message_and_nothing_where_the_state_is_elsewhere(users_folder: Path, url: str) -> None:
    """Of a service account, or of a network that is not there; root enters every folder, so an ordinary user tries."""
    program = [python_for(users_folder), "-m", "headway.cli.app"]
    env = {"HOME": str(users_folder / "home"), "OPENAI_BASE_URL": url}
    env |= {"HEADWAY_PLANNER_MODEL": "any", "HEADWAY_WORKER_MODEL": "any"}
    for command in ("doctor", "up"):
        done = as_ordinary_user(users_folder, [*program, command], **env)
        assert (done.returncode, done.stdout) == (2, "")
        said, remedy = done.stderr.splitlines()
        assert said.endswith(
            f"cannot make the state folder {users_folder}/home/.local/state/headway: Permission denied"
        )
        assert remedy == "Set HEADWAY_HOME to a folder that you may write to."
    elsewhere = str(users_folder / "state")
    done = as_ordinary_user(users_folder, [*program, "doctor", "--json"], HEADWAY_HOME=elsewhere, **env)
    assert done.stderr == ""
    assert {"sandbox", "state folder", "temporal"} <= {each["topic"] for each in json.loads(done.stdout)}


def test_a_finding_is_a_line_and_one_for_what_to_do() -> None:
    found = [
        Diagnostic(topic="a", state="good", says="fine", remedy="nothing"),
        Diagnostic(topic="b", state="lacking", says="less", remedy="do this"),
        Diagnostic(topic="c", state="broken", says="no"),
    ]
    assert list(doctor.shown(found)) == ["ok  a: fine", "--  b: less", "      do this", "!!  c: no"]


def test_a_folder_on_a_network_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "file_system", lambda _: "nfs4")
    (finding,) = doctor.state_folder(tmp_path)
    assert (finding.state, finding.remedy) == ("broken", "set HEADWAY_HOME to a folder on a local disk")


@pytest.mark.parametrize("role", ["planning", "agents"])
def test_a_worker_process_without_walls_starts_only_when_that_is_allowed(home: Path, role: str) -> None:
    env = os.environ | {"HEADWAY_HOME": str(home), "HEADWAY_SANDBOX": "plain", "OPENAI_BASE_URL": "http://127.0.0.1:9"}
    argv = [sys.executable, str(ROOT / "worker.py"), "--only", role]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "filesystem: a command reads and writes whatever this user may" in done.stderr
    assert done.stderr.endswith("Or accept that with --allow-weak-sandbox.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a read-only folder")
def test_a_state_folder_that_is_read_only_is_a_finding_and_no_traceback(tmp_path: Path) -> None:
    home = tmp_path / "read-only"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m,mode=700", "tmpfs", str(home)], check=True)
    try:
        done = headway(home, "doctor")
        up = headway(home, "up", "--detach", OPENAI_API_KEY="k")
    finally:
        subprocess.run(["umount", str(home)], check=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + up.stderr
    assert f"!!  state folder: {home} cannot be written to: Read-only file system" in done.stdout
    assert (up.returncode, "cannot be made: Read-only file system" in up.stderr) == (2, True)
